"""The rows of the table of frameworks: for each program, how it is told its port, and its names.

Lives here: data. How a program is recognised, and its option for the host, are `health/rows/`, under the same name.
Not here: applying them (`programs/flags.py`). Pure.

To teach devproxy another framework is to add a row, and its test. Programs that read PORT and HOST need none.
In texts `{port}` is the service's port, `{url}` its URL, `{name}` a hostname.
"""

import msgspec

from devproxy.programs.catalog import Option


class Extra(msgspec.Struct, frozen=True):
    """Tokens to add, unless one of `unless` is there: once, or with `each` for every hostname.

    `foreign`: only for hostnames that are not below `.localhost`, which dev servers let in by themselves.
    """

    tokens: tuple[str, ...]
    unless: tuple[str, ...]
    each: bool = False
    foreign: bool = False


class Launch(msgspec.Struct, frozen=True, kw_only=True):
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
_SPRING = Launch(env=(("SERVER_PORT", "{port}"), ("SERVER_ADDRESS", "127.0.0.1")), flags=False)
_BUILDS = ("build", "init", "add", "remove", "upgrade", "migrate", "automigrate", "doctor", "info", "sandbox", "index")

LAUNCHES: dict[str, Launch] = {
    # JavaScript
    "Vite": Launch(port=_port("--port"), without=("build", "optimize")),
    "Next.js": Launch(port=_port("-p", "--port"), words=("dev", "start"), bare=True),
    "Nuxt": Launch(port=_port("--port", "-p"), words=("dev",)),
    "React Router / Remix": Launch(port=_port("--port"), words=("dev", "vite:dev")),
    "Astro": Launch(port=_port("--port"), words=("dev", "preview")),
    "Angular": Launch(port=_port("--port"), words=("serve", "s", "dev")),
    "Storybook": Launch(port=_port("-p", "--port"), without=_BUILDS),
    "VitePress": Launch(port=_port("--port"), without=("build", "preview", "serve", "init")),
    "Docusaurus": Launch(port=_port("--port", "-p"), words=("start", "serve")),
    "Gatsby": Launch(port=_port("-p", "--port"), words=("develop", "serve")),
    "Parcel": Launch(port=_port("--port", "-p"), without=("build", "watch", "help")),
    "Vue CLI": Launch(port=_port("--port"), words=("serve",)),
    "Wrangler": Launch(port=_port("--port"), words=("dev",)),
    "json-server": Launch(port=_port("--port", "-p")),
    "http-server": Launch(port=_port("-p", "--port")),
    "serve": Launch(),
    "webpack-dev-server": Launch(
        port=_port("--port"),
        words=_BUNDLER,
        alone=("webpack-dev-server",),
        extra=(Extra(("--allowed-hosts", "{name}"), ("--allowed-hosts",), each=True, foreign=True),),
    ),
    "Rsbuild": Launch(port=_port("--port"), words=("dev", "preview"), bare=True),
    "Rspack": Launch(port=_port("--port"), words=_BUNDLER),
    "Expo": Launch(port=_port("--port", "-p"), words=("start",), unless=("--lan", "--tunnel", "--localhost")),
    "Deno": Launch(port=_port("--port"), words=("serve",)),
    # Python
    "Django": Launch(),
    "Flask": Launch(
        port=_port("--port", "-p"),
        words=("run",),
        env=(("FLASK_RUN_PORT", "{port}"), ("FLASK_RUN_HOST", "127.0.0.1")),
    ),
    "FastAPI": Launch(port=_port("--port"), words=("dev", "run")),
    "uvicorn": Launch(
        port=_port("--port"),
        unless=("--uds", "--fd"),
        env=(("UVICORN_PORT", "{port}"), ("UVICORN_HOST", "127.0.0.1")),
    ),
    "gunicorn": Launch(),
    "hypercorn": Launch(),
    "granian": Launch(port=_port("--port"), unless=("--uds",)),
    "daphne": Launch(port=_port("-p", "--port"), unless=("-u", "--unix-socket", "-e", "--endpoint", "--fd")),
    "waitress": Launch(port=_port("--port="), unless=("--listen", "--unix-socket")),
    "Jupyter": Launch(
        port=_port("--port", "--ServerApp.port", "--NotebookApp.port"),
        words=("lab", "notebook", "server", "nbclassic"),
        alone=("jupyter-lab", "jupyter-notebook", "jupyter-server", "jupyterlab", "jupyter_server", "notebook"),
        extra=(
            Extra(("--ServerApp.local_hostnames=localhost",), ("--ServerApp.local_hostnames",)),
            Extra(("--ServerApp.local_hostnames={name}",), ("--ServerApp.local_hostnames",), each=True),
        ),
    ),
    "Streamlit": Launch(
        port=_port("--server.port"),
        words=("run", "hello"),
        extra=(Extra(("--browser.serverAddress={name}",), ("--browser.serverAddress",)),),
        env=(("STREAMLIT_SERVER_PORT", "{port}"), ("STREAMLIT_SERVER_ADDRESS", "127.0.0.1")),
    ),
    "MkDocs": Launch(words=("serve",)),
    "python -m http.server": Launch(port=Option((), "positional", "{port}")),
    # Ruby, PHP, Elixir, Java, Go, .NET
    "Rails": Launch(port=_port("-p", "--port"), words=("server", "s")),
    "Puma": Launch(),
    "rackup": Launch(port=_port("-p", "--port")),
    "Jekyll": Launch(port=_port("--port", "-P"), words=("serve", "server", "s")),
    "Laravel": Launch(port=_port("--port"), words=("serve",)),
    "PHP": Launch(),
    "Phoenix": Launch(
        flags=False,
        note="Phoenix reads PORT only where its configuration does: in config/dev.exs "
        '`port: String.to_integer(System.get_env("PORT", "4000"))`',
    ),
    "Spring Boot": _SPRING,
    "Java": _SPRING,
    ".NET": Launch(words=("run",)),
    "Hugo": Launch(
        port=_port("--port", "-p"),
        extra=(Extra(("--baseURL", "{url}/", "--appendPort=false"), ("--baseURL", "-b", "--appendPort")),),
    ),
    # services
    "PostgreSQL": Launch(port=_port("-p")),
    "Redis": Launch(port=_port("--port")),
    "MongoDB": Launch(port=_port("--port")),
    "memcached": Launch(port=_port("-p")),
}
