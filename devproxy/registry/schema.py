"""The registry files as types: what may stand in them, and what each key means (format version 1).

How it works: one msgspec type a table, one field a key, as the file spells it (durations and sizes are still strings,
paths still relative). They are the one source of validation (`decode.py`), of `config/registry.schema.json` and of
`config/registry.toml` (both `json_schema.py`). Above them stand the kinds of value, each with what it must look like. A
pattern is for editors: it accepts everything that the parser of the same kind accepts (a test holds that), and the
parser, which is stricter and says why, is what decides. Numbers and lengths are msgspec's to hold.
Not here: rules that a type cannot say (`validate.py`), defaults in force (`model.py`; an absent key is UNSET here, so
that layers can be told apart; a test holds the default that `key` shows equal to it).
"""

from __future__ import annotations  # of a hundred types a registry needs a few: `type_of` makes them

from functools import cache
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, get_args

from msgspec import UNSET, Meta, Struct, UnsetType

from devproxy.registry.hostnames import LABEL
from devproxy.registry.model import (
    AddressKind,
    CrossProtocolPolicy,
    ExposurePolicy,
    HostHeader,
    OtherUserPolicy,
    PinPolicy,
    Protocol,
    RestartPolicy,
    ServiceKind,
    StartPolicy,
    StopSignal,
)
from devproxy.urls import UrlScheme as UrlSchemeSetting

T = TypeVar("T")
Maybe: TypeAlias = T | UnsetType

_FIELD_NAME = r"^[!#$%&'+*.^_`|~0-9A-Za-z-]+$"
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


def _one_of(choices: Any, example: str | None = None) -> Meta:
    """A Literal: what is wanted is its list, `"warn", "refuse" or "allow"`."""
    *front, last = (f'"{choice}"' for choice in get_args(choices))
    return _kind(f"{', '.join(front)} or {last}", example or front[0])


Switch = Annotated[bool, _kind("true or false", "true")]
Port = Annotated[int, _kind("a whole number from 1 to 65535", "5173", ge=1, le=65535)]
PortOrText = Annotated[
    Annotated[int, Meta(ge=1, le=65535)] | Annotated[str, Meta(min_length=1)],
    _kind("a port from 1 to 65535, or a text with {port} in it", "3001"),
]
PortOrAuto = Annotated[
    Annotated[int, Meta(ge=1, le=65535)] | Literal["auto"], _kind('a port from 1 to 65535, or "auto"', "5432")
]
PortOrOff = Annotated[
    Annotated[int, Meta(ge=1, le=65535)] | Literal["off"], _kind('a port from 1 to 65535, or "off"', "7443")
]
UrlScheme = Annotated[str, _kind("the scheme of a URL", '"postgresql"', pattern=r"^[a-z][a-z0-9+.-]*$", max_length=40)]
UrlPath = Annotated[str, _kind("a path that begins with `/`", '"/shop"', pattern=r"^/[\x21\x22\x24-\x7e]*$")]
FieldCount = Annotated[int, _kind("a whole number from 16 to 10000", "256", ge=16, le=10000)]
ConnectionCount = Annotated[int, _kind("a whole number from 1 to 1000000", "4096", ge=1, le=1_000_000)]
Duration = Annotated[
    str, _kind("a duration such as 500ms, 3s or 2m", '"3s"', pattern=r"^[0-9]{1,9}(?:\.[0-9]{1,3})?(?:ms|s|m|h)$")
]
TimeLimit = Annotated[
    str,
    _kind(
        'a duration such as 500ms, 3s or 2m, or "never"',
        '"60s"',
        pattern=r"^(?:[0-9]{1,9}(?:\.[0-9]{1,3})?(?:ms|s|m|h)|never)$",
    ),
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
LoopbackAddress = Annotated[str, _kind("an address on this machine", '"http://127.0.0.1:9000"', min_length=1)]
UrlSchemeChoice = Annotated[UrlSchemeSetting, _one_of(UrlSchemeSetting)]
Exposure = Annotated[ExposurePolicy, _one_of(ExposurePolicy)]
OtherUser = Annotated[OtherUserPolicy, _one_of(OtherUserPolicy)]
Pin = Annotated[PinPolicy, _one_of(PinPolicy)]
Origin = Annotated[
    str, _kind("an origin", '"https://login.example.com"', pattern="^[A-Za-z][A-Za-z0-9+.-]*://[^/?#@]+$")
]
CrossSiteRule = Annotated[
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
FieldTable = Annotated[
    dict[Annotated[str, Meta(pattern=_FIELD_NAME)], Annotated[str, _kind("a string", '"1"', max_length=8192)]],
    _kind("a table of strings", '{ X-Debug = "1" }'),
]
FieldNames = Annotated[
    list[Annotated[str, _kind("the name of a field", '"X-Debug"', pattern=_FIELD_NAME)]],
    _kind("a list of names of fields", '["X-Debug"]'),
]
EnvFiles = Annotated[
    Text | Annotated[list[Text], Meta(min_length=1)],
    _kind("a file, or a list of files, that is not empty", '".env"'),
]
Environment = Annotated[
    dict[Annotated[str, Meta(pattern=r"^[^=\x00]+$")], Annotated[str, _kind("a string", '"3000"')]],
    _kind("a table of strings", '{ API_URL = "{url.api}" }'),
]

VariableName = Annotated[
    str, _kind("the name of a variable", '"DATABASE_URL"', pattern="^[A-Za-z_][A-Za-z0-9_]*$", max_length=100)
]
EnvFileName = Annotated[
    str, _kind("a .env file in the project's folder", '".env.local"', pattern=r"(?:^|[/\\])\.env(?:\.[^/\\]*)?$|\.env$")
]


class HeadersTable(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What is changed in the fields of a message: removed first, then set, then added."""

    set: Maybe[Annotated[FieldTable, key("Fields that are there once, with this value.", {})]] = UNSET
    add: Maybe[Annotated[FieldTable, key("Fields that are there besides those that came.", {})]] = UNSET
    remove: Maybe[Annotated[FieldNames, key("Fields that are taken out.", [])]] = UNSET


_REQUEST_HEADERS = key(
    "Fields that are changed in requests: those of `remove` are taken out, then those of `set` are there once, then"
    " those of `add` besides what came.",
    None,
    '{ set = { X-User = "anna" }, remove = ["Cookie"] }',
)
_RESPONSE_HEADERS = key(
    "Fields that are changed in responses, likewise.", None, '{ add = { Cache-Control = "no-store" } }'
)


class EnvNamesTable(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """More names for the variables of `devproxy env`, besides the ones made of the names."""

    url: Maybe[Annotated[VariableName, key("The variable that also has the service's URL.")]] = UNSET
    host: Maybe[Annotated[VariableName, key("The variable that also has its host.", None, '"PGHOST"')]] = UNSET
    port: Maybe[Annotated[VariableName, key("The variable that also has its port.", None, '"PGPORT"')]] = UNSET


class MountTable(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A path below a hostname at which the service also answers."""

    host: Annotated[Host, key("The hostname; without wildcards, and usually another service's.")]
    path: Annotated[
        MountPath,
        key(
            "The path prefix. `/api` matches `/api`, `/api/…` and `/api?…`, not `/apix`; bytes are compared undecoded."
        ),
    ]
    strip: Maybe[
        Annotated[Switch, key("Take the prefix off before forwarding, and say it in `X-Forwarded-Prefix`.", False)]
    ] = UNSET
    strip_rewrite: Maybe[
        Annotated[
            Switch,
            key(
                "With `strip`, for a service that does not know of its prefix: put it before the paths in `Location`,"
                " `Content-Location` and cookies' `Path`, and take it off WebDAV's `Destination`.",
                False,
            ),
        ]
    ] = UNSET
    request_headers: Maybe[Annotated[HeadersTable, _REQUEST_HEADERS]] = UNSET
    response_headers: Maybe[Annotated[HeadersTable, _RESPONSE_HEADERS]] = UNSET


class HealthTable(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """How it is checked whether the service is up."""

    path: Maybe[
        Annotated[
            ProbePath,
            key(
                "Request target of the check, with `{project}`, `{worktree}` and `{checkout}`. Without it"
                " a connection that is accepted is enough. It is asked in HTTP/2 where the proxy asks in that."
            ),
        ]
    ] = UNSET
    status: Maybe[
        Annotated[
            StatusSet,
            key("The answers that count as up: `2xx`, `204`, `200-399`, or several with commas.", "2xx"),
        ]
    ] = UNSET
    interval: Maybe[Annotated[Duration, key("Time between two checks.", "10s")]] = UNSET
    timeout: Maybe[Annotated[Duration, key("How long a check may take.", "2s")]] = UNSET


class ServiceTable(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A service: something that listens on this machine and has a name."""

    port: Maybe[
        Annotated[
            Port,
            key("Port on this machine; 127.0.0.1 and ::1 are both tried. Without it, `devproxy run` allocates one."),
        ]
    ] = UNSET
    upstream: Maybe[
        Annotated[
            LoopbackAddress,
            key(
                "Address, instead of `port`: `http://127.0.0.1:9000`, `https://[::1]:9443`, `h2c://localhost:50051`,"
                " or `unix:run/app.sock` relative to this file. It must be on this machine; a project's file names"
                " sockets below its own folder. `h2c://` is HTTP/2 without TLS, as gRPC servers speak it; over"
                " `https://` the service chooses."
            ),
        ]
    ] = UNSET
    hosts: Maybe[
        Annotated[
            Hosts, key("More hostnames, besides the one made of the names; `*.shop.localhost` is a wildcard.", [])
        ]
    ] = UNSET
    mount: Maybe[
        Annotated[list[MountTable], key("Paths below other hostnames at which the service also answers.", [])]
    ] = UNSET
    kind: Maybe[
        Annotated[
            ServiceKind,
            _one_of(ServiceKind, '"worker"'),
            key(
                "What the command is for: a `server` listens on a port; a `worker` runs and listens nowhere, such as a"
                " queue or a watcher; a `task` ends, such as a migration, and what depends on it starts once it has"
                " ended with exit code 0.",
                "server",
            ),
        ]
    ] = UNSET
    protocol: Maybe[
        Annotated[
            Protocol,
            _one_of(Protocol),
            key("`tcp` is for what does not speak HTTP, such as a database; see `listen`.", "http"),
        ]
    ] = UNSET
    listen: Maybe[
        Annotated[
            PortOrAuto,
            key(
                'For `protocol = "tcp"`: the port on 127.0.0.1 and ::1 that leads to the service, whatever port that'
                ' has. `"auto"` is one of `listen_ports` of [proxy], always the same for this service and checkout; a'
                " second checkout of a project has one of these in place of the number that its file says.",
                None,
                "5432",
            ),
        ]
    ] = UNSET
    address: Maybe[
        Annotated[
            AddressKind,
            _one_of(AddressKind, '"own"'),
            key(
                "`own` listens at an IPv4 address in 127.64.0.0/10 that no other service or checkout has, so that each"
                " may have the usual port of its protocol: `psql -h db.shop.localhost`, once `devproxy hosts --apply`"
                " has told the system the name. `shared` is 127.0.0.1 and ::1.",
                "shared",
            ),
        ]
    ] = UNSET
    scheme: Maybe[
        Annotated[
            UrlScheme,
            key(
                'For `protocol = "tcp"`: what its URL begins with, as in `{url.db}`; without it `tcp`.',
                None,
                '"postgresql"',
            ),
        ]
    ] = UNSET
    path: Maybe[
        Annotated[
            UrlPath,
            key(
                "What stands behind the port in its URL; with `{project}`, `{worktree}` and `{checkout}`.",
                None,
                '"/shop"',
            ),
        ]
    ] = UNSET
    cross_protocol: Maybe[
        Annotated[
            CrossProtocolPolicy,
            _one_of(CrossProtocolPolicy),
            key(
                'For `protocol = "tcp"`: a connection whose first bytes are an HTTP request comes from a web page that'
                " attacks the service, or from somebody in error. `refuse` closes it and passes nothing on; `allow` is"
                " for a service that does speak HTTP.",
                "refuse",
            ),
        ]
    ] = UNSET
    listens: Maybe[
        Annotated[
            PortOrText,
            key(
                "Which port is the service's, where its command listens on several: a number that stands in the program"
                ' itself, or a text of its log with `{port}` in it, such as "Local: http://localhost:{port}". Without'
                " it: the one that `devproxy run` gave, else another that answers as a service does.",
                None,
                "3001",
            ),
        ]
    ] = UNSET
    host_header: Maybe[
        Annotated[
            HostHeader,
            _one_of(HostHeader),
            key("`keep` passes the Host field that the client sent; `upstream` sets the address instead.", "keep"),
        ]
    ] = UNSET
    origin_header: Maybe[
        Annotated[
            HostHeader,
            _one_of(HostHeader),
            key(
                'With `host_header = "upstream"`: `upstream` also sets the address in an `Origin` and a `Referer` that'
                " name the service itself, for one that compares them with its Host.",
                "keep",
            ),
        ]
    ] = UNSET
    request_headers: Maybe[Annotated[HeadersTable, _REQUEST_HEADERS]] = UNSET
    response_headers: Maybe[Annotated[HeadersTable, _RESPONSE_HEADERS]] = UNSET
    response_timeout: Maybe[
        Annotated[
            TimeLimit,
            key("Time without progress until a response begins, or `never`; the setting of [proxy] if absent."),
        ]
    ] = UNSET
    hold: Maybe[
        Annotated[
            Duration,
            key(
                "How long requests, and connections of TCP, wait for a service that restarts; the setting of [proxy] if"
                " absent."
            ),
        ]
    ] = UNSET
    cross_site: Maybe[
        Annotated[
            CrossSiteRule, key("Pages of other sites that may use the service; the setting of [proxy] if absent.")
        ]
    ] = UNSET
    exposure: Maybe[
        Annotated[
            Exposure,
            key("What happens when others can reach the service's port; the setting of [proxy] if absent."),
        ]
    ] = UNSET
    other_user: Maybe[
        Annotated[
            OtherUser,
            key("Whether another user of this machine may answer for the service; the setting of [proxy] if absent."),
        ]
    ] = UNSET
    redirect: Maybe[
        Annotated[
            Switch,
            key("Redirect GET and HEAD on http:// to https://; the setting of [proxy] if absent."),
        ]
    ] = UNSET
    hsts: Maybe[
        Annotated[Pin, key("What becomes of its Strict-Transport-Security; the setting of [proxy] if absent.")]
    ] = UNSET
    alt_svc: Maybe[Annotated[Pin, key("What becomes of its Alt-Svc; the setting of [proxy] if absent.")]] = UNSET
    health: Maybe[HealthTable] = UNSET
    command: Maybe[
        Annotated[
            Command,
            key(
                "What `devproxy run` starts: a string runs in a shell, a list is executed. `{port}`, `{url.NAME}`,"
                " `{port.NAME}` and `{host.NAME}` are filled in, for a TCP service with the address of its `listen`;"
                " and so are `{project}`, `{worktree}`, the label of a checkout that has one, and `{checkout}`, that"
                " label or `main`. `$PORT` and `${port}` are the shell's."
            ),
        ]
    ] = UNSET
    cwd: Maybe[Annotated[Text, key("Folder that the command runs in, relative to this file.", ".")]] = UNSET
    env: Maybe[
        Annotated[Environment, key("Environment variables for the command, with the same placeholders.", {})]
    ] = UNSET
    env_file: Maybe[
        Annotated[
            EnvFiles,
            key(
                "Files of variables for the command (`NAME=value`, a line each), relative to this file; of several, a"
                " later one wins. `env` wins over them, and so do PORT and what else devproxy sets.",
                None,
                '".env"',
            ),
        ]
    ] = UNSET
    env_names: Maybe[
        Annotated[
            EnvNamesTable,
            key(
                "More names for what `devproxy env` and `write_env` give to other programs, which is `WEB_URL`,"
                " `WEB_HOST` and `WEB_PORT`, and the same with the project before it, `SHOP_WEB_URL`. Each says what it"
                " is by its last word, such as URL, HOST or PORT.",
                None,
                '{ url = "DATABASE_URL", host = "PGHOST", port = "PGPORT" }',
            ),
        ]
    ] = UNSET
    ca_bundle: Maybe[
        Annotated[
            Switch,
            key(
                "Have its command trust devproxy's certificates (`SSL_CERT_FILE` …); the setting of [proxy] if absent."
            ),
        ]
    ] = UNSET
    depends_on: Maybe[Annotated[ServiceNames, key("Services that are started first.", [])]] = UNSET
    start: Maybe[
        Annotated[
            StartPolicy,
            _one_of(StartPolicy),
            key(
                "`on-request` starts the command when the first request, or connection to `listen`, comes: in a"
                " project's file once its commands are trusted (`devproxy link --trust`).",
                "manual",
            ),
        ]
    ] = UNSET
    restart: Maybe[
        Annotated[
            RestartPolicy,
            _one_of(RestartPolicy, '"on-failure"'),
            key("What happens when the command ends by itself; a task is `never` started again.", "on-failure"),
        ]
    ] = UNSET
    stop_signal: Maybe[
        Annotated[
            StopSignal,
            _one_of(StopSignal, '"SIGINT"'),
            key(
                "What the command is asked to end by: itself first, then what it leaves behind, by SIGTERM.", "SIGTERM"
            ),
        ]
    ] = UNSET
    stop_grace: Maybe[
        Annotated[
            Duration,
            key(
                "Time for the command to end, and to end its own children, before it is killed; `grace` of [proxy] if"
                " absent.",
                None,
                '"30s"',
            ),
        ]
    ] = UNSET
    idle_stop: Maybe[
        Annotated[
            Duration,
            key(
                'With `start = "on-request"`: end the command after this time without a request, or an open connection.'
                " Without it, it keeps running.",
                None,
                '"30m"',
            ),
        ]
    ] = UNSET


class ProxyTable(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Settings of the proxy itself; in the user registry only."""

    http: Maybe[
        Annotated[Port, key("Port for http://. Without it: 80, or 7080 where 80 cannot be had.", None, "7080")]
    ] = UNSET
    https: Maybe[
        Annotated[
            PortOrOff,
            key(
                'Port for https://, or "off". Without it: 443, or 7443 where 443 cannot be had, or none at all where'
                " neither can.",
                None,
                "7443",
            ),
        ]
    ] = UNSET
    url_scheme: Maybe[
        Annotated[
            UrlSchemeChoice,
            key(
                "The scheme of the URLs that you are told: `http`, `https`, or `auto`, which is https once devproxy's"
                " certificates are trusted (`devproxy trust`).",
                "auto",
            ),
        ]
    ] = UNSET
    redirect: Maybe[
        Annotated[
            Switch,
            key(
                "Redirect GET and HEAD on http:// to https://, but no WebSocket, and nothing where https is off.", False
            ),
        ]
    ] = UNSET
    hsts: Maybe[
        Annotated[
            Pin,
            key(
                "What becomes of Strict-Transport-Security in a service's responses: `drop`, for a browser would"
                " remember it for every port of the name, and for months; or `pass`.",
                "drop",
            ),
        ]
    ] = UNSET
    alt_svc: Maybe[
        Annotated[
            Pin,
            key(
                "What becomes of Alt-Svc in a service's responses: `drop`, for it leads the browser past devproxy; or"
                " `pass`. `Alt-Svc: clear` passes.",
                "drop",
            ),
        ]
    ] = UNSET
    tlds: Maybe[
        Annotated[
            Tlds,
            key(
                "The last part of every hostname. Others than `localhost` need DNS or /etc/hosts, and over http"
                " browsers do not say there where a request comes from (Sec-Fetch): the cross-site guard knows less.",
                ["localhost"],
            ),
        ]
    ] = UNSET
    host_template: Maybe[
        Annotated[
            Template,
            key(
                "How a project's hostnames are made, of {service}, {project}, {tld} and {worktree}, the label of a"
                " checkout that has one, which stands before {project} if the template does not say where.",
                "{service}.{project}.{tld}",
            ),
        ]
    ] = UNSET
    hold: Maybe[Annotated[Duration, key("How long requests wait for a service that restarts.", "3s")]] = UNSET
    response_timeout: Maybe[
        Annotated[
            TimeLimit,
            key(
                "Time without progress until a response begins, or `never`; none applies after that, nor while a"
                " debugger or a signal stops the service's process.",
                "never",
            ),
        ]
    ] = UNSET
    header_timeout: Maybe[Annotated[Duration, key("Time for a client to send a request's header section.", "10s")]] = (
        UNSET
    )
    idle_timeout: Maybe[Annotated[Duration, key("How long a connection without a request stays open.", "75s")]] = UNSET
    grace: Maybe[
        Annotated[
            Duration,
            key("Time for requests in flight to finish when the proxy stops, and for services to end.", "10s"),
        ]
    ] = UNSET
    max_header: Maybe[
        Annotated[
            Size, key("Largest header of a request; a larger one is answered 431, or 414 for its target.", "64KiB")
        ]
    ] = UNSET
    max_response_header: Maybe[
        Annotated[
            Size,
            key(
                "Largest header of a service's response (browsers take 256 KiB); a larger one becomes a 502.", "256KiB"
            ),
        ]
    ] = UNSET
    max_headers: Maybe[
        Annotated[FieldCount, key("Most fields in a header section, of a request or a response.", 256)]
    ] = UNSET
    max_connections: Maybe[
        Annotated[
            ConnectionCount,
            key("Most clients connected at once. Without it: as many as the limit on open files bears."),
        ]
    ] = UNSET
    cross_site: Maybe[
        Annotated[
            CrossSiteRule,
            key('Pages of other sites that may use services: "refuse", "allow", or a list of origins.', "refuse"),
        ]
    ] = UNSET
    exposure: Maybe[
        Annotated[
            Exposure,
            key(
                "What happens when others can reach a service's port: `warn`, `refuse` requests to it, or `allow`.",
                "warn",
            ),
        ]
    ] = UNSET
    other_user: Maybe[
        Annotated[
            OtherUser,
            key(
                "Another user of this machine (not you, not root) listens on a service's port: `refuse` to send it"
                " requests, or `allow` it.",
                "refuse",
            ),
        ]
    ] = UNSET
    exposure_header: Maybe[Annotated[Switch, key("Say so in the field `Devproxy-Warning` of its responses.", True)]] = (
        UNSET
    )
    exposure_proof: Maybe[
        Annotated[
            Switch,
            key("Prove it by connecting to this machine's other addresses, besides reading who listens where.", True),
        ]
    ] = UNSET
    ports: Maybe[Annotated[PortRange, key("Ports that `devproxy run` allocates from.", "20000-29999")]] = UNSET
    listen_ports: Maybe[
        Annotated[PortRange, key('Ports that `listen = "auto"` of a TCP service is one of.', "10000-19999")]
    ] = UNSET
    ca_bundle: Maybe[
        Annotated[
            Switch,
            key(
                "Once there is a local CA, commands get files of certificates, the system's and devproxy's, in"
                " `SSL_CERT_FILE`, `NODE_EXTRA_CA_CERTS` and their like. A variable that is set already stays.",
                True,
            ),
        ]
    ] = UNSET
    autostart: Maybe[
        Annotated[Switch, key("`devproxy run` starts the proxy in the background if none runs.", True)]
    ] = UNSET
    access_log: Maybe[Annotated[Switch, key("Log every request, one line each.", False)]] = UNSET
    trusted_forwarded: Maybe[
        Annotated[
            Switch,
            key(
                "Believe X-Forwarded-For, -Proto, -Host, -Port, -Prefix and Forwarded, and add to them: only where a"
                " tunnel agent on this machine sets all of them.",
                False,
            ),
        ]
    ] = UNSET


class LinkTable(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A project file that is taken into the registry. Another checkout of it, such as a git worktree, has a label
    before the project's name: `[projects."fix-ui.shop"]`."""

    path: Annotated[
        Text,
        key("The project's `devproxy.toml`, relative to this file; `~/` is your home.", None, '"~/shop/devproxy.toml"'),
    ]
    trust: Maybe[
        Annotated[
            Digest,
            key(
                "Written by `devproxy link --trust`: the digest of the commands that may be started by a request, as"
                " they were then. Once one of them changes, none is."
            ),
        ]
    ] = UNSET


class UserFile(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The user registry, `config/registry.toml`."""

    proxy: ProxyTable = ProxyTable()
    services: Annotated[dict[Name, ServiceTable], key("Services without a project: `NAME.localhost`.")] = {}
    projects: Annotated[
        dict[Checkout, LinkTable], key("Linked project files, by the project's name, with a label before it.")
    ] = {}


_WRITE_ENV = key(
    "A `.env` file in the project's folder in which the running proxy keeps a marked block of variables current: where"
    " its services are, as `devproxy env` prints them. With `{project}`, `{worktree}` and `{checkout}`.",
    None,
    '".env.local"',
)


class ProjectFile(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A project's `devproxy.toml`, checked in."""

    project: Annotated[Name, key("The project's name; hostnames are `SERVICE.PROJECT.localhost`.", None, '"shop"')]
    write_env: Maybe[Annotated[EnvFileName, _WRITE_ENV]] = UNSET
    services: Annotated[dict[Name, ServiceTable], key("The project's services.")] = {}


class LocalFile(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """`devproxy.local.toml` beside it: your own overrides, key by key."""

    project: Maybe[Annotated[Name, key("Another name for the project on this machine.", None, '"shop-2"')]] = UNSET
    write_env: Maybe[Annotated[EnvFileName, _WRITE_ENV]] = UNSET
    services: Annotated[dict[Name, ServiceTable], key("Overrides of services, or services of your own.")] = {}


@cache
def type_of(table: type[Struct], name: str) -> Any:
    """The type of a key, made when the first file has it, since all of them take three milliseconds. Raises KeyError
    where the table has no such key."""
    return eval(table.__annotations__[name], globals())  # noqa: S307 - it stands above
