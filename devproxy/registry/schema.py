"""The registry files as types: what may stand in them, and what each key means (format version 1).

Lives here: one msgspec type a table, one field a key, as the file spells it (durations and sizes are still strings,
paths still relative). They are the one source of validation (`decode.py`), of `config/registry.schema.json` and of
`config/registry.toml` (both `json_schema.py`).
Not here: the kinds of value (`kinds.py`), rules that a type cannot say (`checks.py`), defaults in force (`model.py`;
an absent key is UNSET here, so that layers can be told apart; a test holds the default that `key` shows equal to it).
"""

from typing import Annotated

from msgspec import UNSET, Struct

from devproxy.registry import kinds
from devproxy.registry.kinds import Maybe, key


class MountTable(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A path below a hostname at which the service also answers."""

    host: Annotated[kinds.Host, key("The hostname; without wildcards, and usually another service's.")]
    path: Annotated[
        kinds.MountPath,
        key(
            "The path prefix. `/api` matches `/api`, `/api/…` and `/api?…`, not `/apix`; bytes are compared undecoded."
        ),
    ]
    strip: Maybe[
        Annotated[
            kinds.Switch, key("Take the prefix off before forwarding, and say it in `X-Forwarded-Prefix`.", False)
        ]
    ] = UNSET


class HealthTable(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """How it is checked whether the service is up."""

    path: Maybe[
        Annotated[
            kinds.ProbePath, key("Request target of the check. Without it, a connection that is accepted is enough.")
        ]
    ] = UNSET
    status: Maybe[
        Annotated[
            kinds.StatusSet,
            key("The answers that count as up: `2xx`, `204`, `200-399`, or several with commas.", "2xx"),
        ]
    ] = UNSET
    interval: Maybe[Annotated[kinds.Duration, key("Time between two checks.", "10s")]] = UNSET
    timeout: Maybe[Annotated[kinds.Duration, key("How long a check may take.", "2s")]] = UNSET


class ServiceTable(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A service: something that listens on this machine and has a name."""

    port: Maybe[
        Annotated[
            kinds.Port,
            key("Port on this machine; 127.0.0.1 and ::1 are both tried. Without it, `devproxy run` allocates one."),
        ]
    ] = UNSET
    upstream: Maybe[
        Annotated[
            kinds.Address,
            key(
                "Address, instead of `port`: `http://127.0.0.1:9000`, `https://[::1]:9443`, `h2c://localhost:50051`,"
                " or `unix:run/app.sock` relative to this file. It must be on this machine; a project's file names"
                " sockets below its own folder."
            ),
        ]
    ] = UNSET
    hosts: Maybe[
        Annotated[
            kinds.Hosts, key("More hostnames, besides the one made of the names; `*.shop.localhost` is a wildcard.", [])
        ]
    ] = UNSET
    mount: Maybe[
        Annotated[list[MountTable], key("Paths below other hostnames at which the service also answers.", [])]
    ] = UNSET
    protocol: Maybe[
        Annotated[
            kinds.Protocol, key("`tcp` is for what does not speak HTTP, such as a database; see `listen`.", "http")
        ]
    ] = UNSET
    listen: Maybe[
        Annotated[
            kinds.Port,
            key('For `protocol = "tcp"`: the port on 127.0.0.1 and ::1 that leads to the service.', None, "5432"),
        ]
    ] = UNSET
    host_header: Maybe[
        Annotated[
            kinds.HostHeader,
            key("`keep` passes the Host field that the client sent; `upstream` sets the address instead.", "keep"),
        ]
    ] = UNSET
    response_timeout: Maybe[
        Annotated[kinds.Duration, key("Time for the first byte of a response; the setting of [proxy] if absent.")]
    ] = UNSET
    hold: Maybe[
        Annotated[
            kinds.Duration, key("How long requests wait for a service that restarts; the setting of [proxy] if absent.")
        ]
    ] = UNSET
    cross_site: Maybe[
        Annotated[
            kinds.CrossSite, key("Pages of other sites that may use the service; the setting of [proxy] if absent.")
        ]
    ] = UNSET
    exposure: Maybe[
        Annotated[
            kinds.Exposure,
            key("What happens when others can reach the service's port; the setting of [proxy] if absent."),
        ]
    ] = UNSET
    health: Maybe[HealthTable] = UNSET
    command: Maybe[
        Annotated[
            kinds.Command,
            key(
                "What `devproxy run` starts: a string runs in a shell, a list is executed. `{port}`, `{url.NAME}`,"
                " `{port.NAME}` and `{host.NAME}` are filled in."
            ),
        ]
    ] = UNSET
    cwd: Maybe[Annotated[kinds.Text, key("Folder that the command runs in, relative to this file.", ".")]] = UNSET
    env: Maybe[
        Annotated[kinds.Environment, key("Environment variables for the command, with the same placeholders.", {})]
    ] = UNSET
    depends_on: Maybe[Annotated[kinds.ServiceNames, key("Services that are started first.", [])]] = UNSET
    start: Maybe[
        Annotated[
            kinds.Start,
            key(
                "`on-request` starts the command when the first request comes: in a project's file once its commands"
                " are trusted (`devproxy link --trust`).",
                "manual",
            ),
        ]
    ] = UNSET
    restart: Maybe[Annotated[kinds.Restart, key("What happens when the command ends by itself.", "on-failure")]] = UNSET
    idle_stop: Maybe[
        Annotated[
            kinds.Duration,
            key(
                'With `start = "on-request"`: end the command after this time without a request. Without it, it keeps'
                " running.",
                None,
                '"30m"',
            ),
        ]
    ] = UNSET


class ProxyTable(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """Settings of the proxy itself; in the user registry only."""

    http: Maybe[
        Annotated[kinds.Port, key("Port for http://. Without it: 80, or 7080 where 80 cannot be had.", None, "7080")]
    ] = UNSET
    https: Maybe[
        Annotated[kinds.Port, key("Port for https://. Without it: 443, or 7443 where 443 cannot be had.", None, "7443")]
    ] = UNSET
    tlds: Maybe[
        Annotated[
            kinds.Tlds,
            key("The last part of every hostname. Others than `localhost` need DNS or /etc/hosts.", ["localhost"]),
        ]
    ] = UNSET
    host_template: Maybe[
        Annotated[
            kinds.Template,
            key(
                "How a project's hostnames are made, of {service}, {project}, {tld} and {worktree}, the label of a"
                " checkout that has one, which stands before {project} if the template does not say where.",
                "{service}.{project}.{tld}",
            ),
        ]
    ] = UNSET
    hold: Maybe[Annotated[kinds.Duration, key("How long requests wait for a service that restarts.", "3s")]] = UNSET
    response_timeout: Maybe[
        Annotated[kinds.Duration, key("Time for the first byte of a response; none applies after that.", "60s")]
    ] = UNSET
    header_timeout: Maybe[
        Annotated[kinds.Duration, key("Time for a client to send a request's header section.", "10s")]
    ] = UNSET
    idle_timeout: Maybe[
        Annotated[kinds.Duration, key("How long a connection without a request stays open.", "75s")]
    ] = UNSET
    grace: Maybe[
        Annotated[kinds.Duration, key("Time for requests in flight to finish when the proxy stops.", "10s")]
    ] = UNSET
    max_header: Maybe[
        Annotated[kinds.Size, key("Largest header section of a request; a larger one is answered 431.", "64KiB")]
    ] = UNSET
    max_headers: Maybe[Annotated[kinds.FieldCount, key("Most fields in a header section.", 256)]] = UNSET
    max_connections: Maybe[
        Annotated[
            kinds.ConnectionCount,
            key("Most clients connected at once. Without it: as many as the limit on open files bears."),
        ]
    ] = UNSET
    cross_site: Maybe[
        Annotated[
            kinds.CrossSite,
            key('Pages of other sites that may use services: "refuse", "allow", or a list of origins.', "refuse"),
        ]
    ] = UNSET
    exposure: Maybe[
        Annotated[
            kinds.Exposure,
            key(
                "What happens when others can reach a service's port: `warn`, `refuse` requests to it, or `allow`.",
                "warn",
            ),
        ]
    ] = UNSET
    exposure_header: Maybe[
        Annotated[kinds.Switch, key("Say so in the field `Devproxy-Warning` of its responses.", True)]
    ] = UNSET
    exposure_proof: Maybe[
        Annotated[
            kinds.Switch,
            key("Prove it by connecting to this machine's other addresses, besides reading who listens where.", True),
        ]
    ] = UNSET
    ports: Maybe[Annotated[kinds.PortRange, key("Ports that `devproxy run` allocates from.", "20000-29999")]] = UNSET
    autostart: Maybe[
        Annotated[kinds.Switch, key("`devproxy run` starts the proxy in the background if none runs.", True)]
    ] = UNSET
    access_log: Maybe[Annotated[kinds.Switch, key("Log every request, one line each.", False)]] = UNSET
    trusted_forwarded: Maybe[
        Annotated[
            kinds.Switch,
            key("Believe X-Forwarded-Proto and -Host: only where a tunnel agent on this machine sets them.", False),
        ]
    ] = UNSET


class LinkTable(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A project file that is taken into the registry. Another checkout of it, such as a git worktree, has a label
    before the project's name: `[projects."fix-ui.shop"]`."""

    path: Annotated[
        kinds.Text,
        key("The project's `devproxy.toml`, relative to this file; `~/` is your home.", None, '"~/shop/devproxy.toml"'),
    ]
    trust: Maybe[
        Annotated[
            kinds.Digest,
            key(
                "Written by `devproxy link --trust`: the digest of the commands that may be started by a request, as"
                " they were then. Once one of them changes, none is."
            ),
        ]
    ] = UNSET


class UserFile(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """The user registry, `config/registry.toml`."""

    proxy: ProxyTable = ProxyTable()
    services: Annotated[dict[kinds.Name, ServiceTable], key("Services without a project: `NAME.localhost`.")] = {}
    projects: Annotated[
        dict[kinds.Checkout, LinkTable], key("Linked project files, by the project's name, with a label before it.")
    ] = {}


class ProjectFile(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A project's `devproxy.toml`, checked in."""

    project: Annotated[
        kinds.Name, key("The project's name; hostnames are `SERVICE.PROJECT.localhost`.", None, '"shop"')
    ]
    services: Annotated[dict[kinds.Name, ServiceTable], key("The project's services.")] = {}


class LocalFile(Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """`devproxy.local.toml` beside it: your own overrides, key by key."""

    project: Maybe[Annotated[kinds.Name, key("Another name for the project on this machine.", None, '"shop-2"')]] = (
        UNSET
    )
    services: Annotated[dict[kinds.Name, ServiceTable], key("Overrides of services, or services of your own.")] = {}
