"""The kinds of value that the registry files hold, each with what it must look like.

Lives here: constrained types, and for each kind `wants`, which completes the sentence "`key` must be …", and `example`,
a right value as TOML.
Not here: the keys that have such values (`schema.py`), rules that a pattern cannot say (`checks.py`).

A pattern is for editors: it accepts everything that the parser of the same kind accepts (a test holds that), and the
parser, which is stricter and says why, is what decides. Numbers and lengths are msgspec's to hold. RFC 1123 §2.1 for
labels, RFC 6454 for origins.
"""

from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from msgspec import Meta, UnsetType

T = TypeVar("T")
Maybe: TypeAlias = T | UnsetType

LABEL = "[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_CODES = "[1-5](?:xx|[0-9]{2}(?:-[1-5][0-9]{2})?)"


def key(text: str, default: Any = None, example: str | None = None) -> Meta:
    """What a key means, the value in force without it, as JSON would hold it (None: there is none), and an example."""
    return Meta(
        description=text,
        extra_json_schema=None if default is None else {"default": default},
        extra=None if example is None else {"example": example},
    )


def _kind(wants: str, example: str, pattern: str | None = None, **constraints: Any) -> Meta:
    shown = None if pattern is None else {"pattern": pattern}
    return Meta(extra={"wants": wants, "example": example}, extra_json_schema=shown, **constraints)


Switch = Annotated[bool, _kind("true or false", "true")]
Port = Annotated[int, _kind("a whole number from 1 to 65535", "5173", ge=1, le=65535)]
FieldCount = Annotated[int, _kind("a whole number from 16 to 10000", "256", ge=16, le=10000)]
ConnectionCount = Annotated[int, _kind("a whole number from 1 to 1000000", "4096", ge=1, le=1_000_000)]
Duration = Annotated[
    str, _kind("a duration such as 500ms, 3s or 2m", '"3s"', pattern=r"^[0-9]{1,9}(?:\.[0-9]{1,3})?(?:ms|s|m|h)$")
]
Size = Annotated[str, _kind("a size such as 64KiB or 1MiB", '"64KiB"', pattern="^[0-9]{1,9}(?:KiB|MiB|GiB)$")]
PortRange = Annotated[str, _kind("a range of ports", '"20000-29999"', pattern="^[0-9]{1,5}-[0-9]{1,5}$")]
Name = Annotated[str, _kind("a name", '"web"', pattern=f"^{LABEL}$")]
Checkout = Annotated[
    str, _kind("the name of a project, or of a checkout of it", '"shop"', pattern=rf"^{LABEL}(?:\.{LABEL})?$")
]
Digest = Annotated[str, _kind("64 hexadecimal digits", f'"{"0" * 64}"', pattern="^[0-9a-f]{64}$")]
ServiceName = Annotated[str, _kind("the name of a service", '"api"', pattern=rf"^{LABEL}(?:\.{LABEL})?$")]
Host = Annotated[str, _kind("a hostname", '"shop.localhost"', pattern="^[A-Za-z0-9.-]+$", max_length=254)]
HostPattern = Annotated[
    str, _kind("a hostname", '"shop.localhost"', pattern=r"^(?:\*\.)?[A-Za-z0-9.-]+$", max_length=254)
]
Hosts = Annotated[list[HostPattern], _kind("a list of hostnames", '["shop.localhost"]')]
Tlds = Annotated[
    list[Annotated[str, _kind("a name", '"localhost"', pattern="^[A-Za-z0-9.-]+$", max_length=254)]],
    _kind("a list of at least one name", '["localhost"]', min_length=1),
]
ServiceNames = Annotated[list[ServiceName], _kind("a list of service names", '["api", "db"]')]
Text = Annotated[str, _kind("a string that is not empty", '"web"', min_length=1)]
Template = Annotated[str, _kind("a template", '"{service}.{project}.{tld}"', pattern=r"\{service\}.*\.\{tld\}$")]
Address = Annotated[str, _kind("an address on this machine", '"http://127.0.0.1:9000"', min_length=1)]
Protocol = Annotated[Literal["http", "tcp"], _kind('"http" or "tcp"', '"http"')]
HostHeader = Annotated[Literal["keep", "upstream"], _kind('"keep" or "upstream"', '"keep"')]
Exposure = Annotated[Literal["warn", "refuse", "allow"], _kind('"warn", "refuse" or "allow"', '"warn"')]
Start = Annotated[Literal["manual", "on-request"], _kind('"manual" or "on-request"', '"manual"')]
Restart = Annotated[
    Literal["never", "on-failure", "always"], _kind('"never", "on-failure" or "always"', '"on-failure"')
]
Origin = Annotated[
    str, _kind("an origin", '"https://login.example.com"', pattern="^[A-Za-z][A-Za-z0-9+.-]*://[^/?#@]+$")
]
CrossSite = Annotated[
    Literal["refuse", "allow"] | list[Origin],
    _kind('"refuse", "allow" or a list of origins', '["https://login.example.com"]'),
]
MountPath = Annotated[
    str,
    _kind(
        "a path that begins with `/`",
        '"/api"',
        pattern=r"^/(?:[\x21-\x22\x24-\x3e\x40-\x7e]*[\x21-\x22\x24-\x2e\x30-\x3e\x40-\x7e])$",
    ),
]
ProbePath = Annotated[str, _kind("a path that begins with `/`", '"/healthz"', pattern=r"^/[\x21\x22\x24-\x7e]*$")]
StatusSet = Annotated[str, _kind("status codes", '"2xx"', pattern=f"^{_CODES}(?:, ?{_CODES})*$")]
Command = Annotated[
    Text | Annotated[list[Text], Meta(min_length=1)],
    _kind("a string, or a list of strings, that is not empty", '"npm run dev -- --port {port}"'),
]
Environment = Annotated[
    dict[Annotated[str, Meta(pattern=r"^[^=\x00]+$")], Annotated[str, _kind("a string", '"3000"')]],
    _kind("a table of strings", '{ API_URL = "{url.api}" }'),
]
