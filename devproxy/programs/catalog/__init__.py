"""The rows of the table of fixes: for each program that people run in development, what makes it listen on
loopback.

Lives here: the type of a row; the rows themselves, as data, in one file a kind of program.
Not here: finding a program's row and applying it (`programs/fixes.py`, `programs/options.py`). Pure.

To teach devproxy a program is to add a row, and its test. A row is found by `names` (any of those that
`programs.names_of` gives), `words` (one of them must be among the arguments), `contains` (a text inside some
argument) and `port`; the first row that fits counts. `weak` rows know the language, not the program: any
better row in the command line or in a parent's wins. In texts `{port}` is the listener's port.
"""

from typing import Literal

import msgspec

Form = Literal["host", "address", "url", "publish", "positional", "port"]


class Option(msgspec.Struct, frozen=True):
    """The part of a command line that says where to listen.

    `flags` are its spellings, the first is the one that is proposed; one that ends in `=` is joined with its value,
    one with a space is two tokens (`-c listen_addresses=`). `form` is what the value looks like: a host, an address
    with a port, a URL with both, a container's published port, an address that stands without a flag, or a port
    (which by itself means every interface, and is replaced flag and all). `safe` is the value to propose. `add`:
    propose it also where it is not given. `many`: several values may follow. `first`: it stands before the program's
    operands, since what follows them is not the program's own.
    """

    flags: tuple[str, ...] = ()
    form: Form = "host"
    safe: str = "127.0.0.1"
    add: bool = True
    many: bool = False
    first: bool = False


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """One program: how it is recognised, and what to change.

    `options` the first of which is proposed; `exposes` switches without a value that open it up; `env` the
    variable that does the same, and `env_value` what to set it to; `file` and `line` the setting that does.
    `note` is added to the proposal.
    """

    program: str
    names: tuple[str, ...]
    words: tuple[str, ...] = ()
    contains: str = ""
    port: int = 0
    options: tuple[Option, ...] = ()
    exposes: tuple[str, ...] = ()
    env: str = ""
    env_value: str = "127.0.0.1"
    file: str = ""
    line: str = ""
    note: str = ""
    weak: bool = False


def host(*flags: str, add: bool = True, many: bool = False) -> tuple[Option, ...]:
    """An option that takes a host."""
    return (Option(flags, add=add, many=many),)


def address(*flags: str) -> tuple[Option, ...]:
    """An option that takes a host and a port."""
    return (Option(flags, "address", "127.0.0.1:{port}"),)


SERVE_CODE = "the code that starts its server"


# The rows of the table of frameworks: for each program, how it is told its port, and its names.
#
# To teach devproxy another framework is to add a row, and its test. Programs that read PORT and HOST need none.
# In texts `{port}` is the service's port, `{url}` its URL, `{name}` a hostname.


class Extra(msgspec.Struct, frozen=True):
    """Tokens to add, unless one of `unless` is there: once, or with `each` for every hostname.

    `foreign`: only for hostnames that are not below `.localhost`, which dev servers let in by themselves.
    """

    tokens: tuple[str, ...]
    unless: tuple[str, ...]
    each: bool = False
    foreign: bool = False


class LaunchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a program is told its port.

    `port` is the option for it, None where the one for the host takes both. It serves if one of `words` is among its
    arguments (any will do if there are none), or it is called by one of the names `alone`, and the first argument is
    none of `without`; `bare`: also without any argument that is no option. `unless` are options with which it listens
    elsewhere. `env` is set besides, for where a flag cannot be added; `flags` False: it is all that can be done.
    `note` is for a person.
    """

    port: Option | None = None
    words: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    bare: bool = False
    without: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    extra: tuple[Extra, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    flags: bool = True
    note: str = ""


def _port(*flags: str) -> Option:
    return Option(flags, safe="{port}")


_BUNDLER = ("serve", "server", "s", "dev")
_SPRING = LaunchOptions(env=(("SERVER_PORT", "{port}"), ("SERVER_ADDRESS", "127.0.0.1")), flags=False)
_BUILDS = ("build", "init", "add", "remove", "upgrade", "migrate", "automigrate", "doctor", "info", "sandbox", "index")

LAUNCHES: dict[str, LaunchOptions] = {
    # JavaScript
    "Vite": LaunchOptions(port=_port("--port"), without=("build", "optimize")),
    "Next.js": LaunchOptions(port=_port("-p", "--port"), words=("dev", "start"), bare=True),
    "Nuxt": LaunchOptions(port=_port("--port", "-p"), words=("dev",)),
    "React Router / Remix": LaunchOptions(port=_port("--port"), words=("dev", "vite:dev")),
    "Astro": LaunchOptions(port=_port("--port"), words=("dev", "preview")),
    "Angular": LaunchOptions(port=_port("--port"), words=("serve", "s", "dev")),
    "Storybook": LaunchOptions(port=_port("-p", "--port"), without=_BUILDS),
    "VitePress": LaunchOptions(port=_port("--port"), without=("build", "preview", "serve", "init")),
    "Docusaurus": LaunchOptions(port=_port("--port", "-p"), words=("start", "serve")),
    "Gatsby": LaunchOptions(port=_port("-p", "--port"), words=("develop", "serve")),
    "Parcel": LaunchOptions(port=_port("--port", "-p"), without=("build", "watch", "help")),
    "Vue CLI": LaunchOptions(port=_port("--port"), words=("serve",)),
    "Wrangler": LaunchOptions(port=_port("--port"), words=("dev",)),
    "json-server": LaunchOptions(port=_port("--port", "-p")),
    "http-server": LaunchOptions(port=_port("-p", "--port")),
    "serve": LaunchOptions(),
    "webpack-dev-server": LaunchOptions(
        port=_port("--port"),
        words=_BUNDLER,
        alone=("webpack-dev-server",),
        extra=(Extra(("--allowed-hosts", "{name}"), ("--allowed-hosts",), each=True, foreign=True),),
    ),
    "Rsbuild": LaunchOptions(port=_port("--port"), words=("dev", "preview"), bare=True),
    "Rspack": LaunchOptions(port=_port("--port"), words=_BUNDLER),
    "Expo": LaunchOptions(port=_port("--port", "-p"), words=("start",), unless=("--lan", "--tunnel", "--localhost")),
    "Deno": LaunchOptions(port=_port("--port"), words=("serve",)),
    # Python
    "Django": LaunchOptions(),
    "Flask": LaunchOptions(
        port=_port("--port", "-p"),
        words=("run",),
        env=(("FLASK_RUN_PORT", "{port}"), ("FLASK_RUN_HOST", "127.0.0.1")),
    ),
    "FastAPI": LaunchOptions(port=_port("--port"), words=("dev", "run")),
    "uvicorn": LaunchOptions(
        port=_port("--port"),
        unless=("--uds", "--fd"),
        env=(("UVICORN_PORT", "{port}"), ("UVICORN_HOST", "127.0.0.1")),
    ),
    "gunicorn": LaunchOptions(),
    "hypercorn": LaunchOptions(),
    "granian": LaunchOptions(port=_port("--port"), unless=("--uds",)),
    "daphne": LaunchOptions(port=_port("-p", "--port"), unless=("-u", "--unix-socket", "-e", "--endpoint", "--fd")),
    "waitress": LaunchOptions(port=_port("--port="), unless=("--listen", "--unix-socket")),
    "Jupyter": LaunchOptions(
        port=_port("--port", "--ServerApp.port", "--NotebookApp.port"),
        words=("lab", "notebook", "server", "nbclassic"),
        alone=("jupyter-lab", "jupyter-notebook", "jupyter-server", "jupyterlab", "jupyter_server", "notebook"),
        extra=(
            Extra(("--ServerApp.local_hostnames=localhost",), ("--ServerApp.local_hostnames",)),
            Extra(("--ServerApp.local_hostnames={name}",), ("--ServerApp.local_hostnames",), each=True),
        ),
    ),
    "Streamlit": LaunchOptions(
        port=_port("--server.port"),
        words=("run", "hello"),
        extra=(Extra(("--browser.serverAddress={name}",), ("--browser.serverAddress",)),),
        env=(("STREAMLIT_SERVER_PORT", "{port}"), ("STREAMLIT_SERVER_ADDRESS", "127.0.0.1")),
    ),
    "MkDocs": LaunchOptions(words=("serve",)),
    "python -m http.server": LaunchOptions(port=Option((), "positional", "{port}")),
    # Ruby, PHP, Elixir, Java, Go, .NET
    "Rails": LaunchOptions(port=_port("-p", "--port"), words=("server", "s")),
    "Puma": LaunchOptions(),
    "rackup": LaunchOptions(port=_port("-p", "--port")),
    "Jekyll": LaunchOptions(port=_port("--port", "-P"), words=("serve", "server", "s")),
    "Laravel": LaunchOptions(port=_port("--port"), words=("serve",)),
    "PHP": LaunchOptions(),
    "Phoenix": LaunchOptions(
        flags=False,
        note="Phoenix reads PORT only where its configuration does: in config/dev.exs "
        '`port: String.to_integer(System.get_env("PORT", "4000"))`',
    ),
    "Spring Boot": _SPRING,
    "Java": _SPRING,
    ".NET": LaunchOptions(words=("run",)),
    "Hugo": LaunchOptions(
        port=_port("--port", "-p"),
        extra=(Extra(("--baseURL", "{url}/", "--appendPort=false"), ("--baseURL", "-b", "--appendPort")),),
    ),
    # services
    "PostgreSQL": LaunchOptions(port=_port("-p")),
    "Redis": LaunchOptions(port=_port("--port")),
    "MongoDB": LaunchOptions(port=_port("--port")),
    "memcached": LaunchOptions(port=_port("-p")),
}
