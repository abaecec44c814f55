"""Python: frameworks, WSGI and ASGI servers, notebooks."""

from devproxy.programs.catalog.program import ALWAYS, SERVE_CODE, Extra, Option, Program, Serving, address, host, port

_JUPYTER_SERVERS = (*("jupyter-lab", "jupyter-notebook", "jupyter-server", "jupyterlab", "jupyter_server", "notebook"),)

PYTHON = (
    Program(
        name="Django",
        names=("manage.py", "django-admin", "django"),
        words=("runserver", "runserver_plus", "testserver"),
        serves=ALWAYS,
        listen=(Option((), "positional", "127.0.0.1:{port}"),),
    ),
    Program(
        name="Flask",
        names=("flask",),
        serves=Serving(words=("run",)),
        port=port("--port", "-p"),
        listen=host("--host", "-h"),
        variables=(("FLASK_RUN_PORT", "{port}"), ("FLASK_RUN_HOST", "127.0.0.1")),
    ),
    Program(
        name="FastAPI",
        names=("fastapi", "fastapi_cli"),
        serves=Serving(words=("dev", "run")),
        port=port("--port"),
        listen=host("--host"),
    ),
    Program(
        name="uvicorn",
        names=("uvicorn",),
        serves=Serving(elsewhere=("--uds", "--fd")),
        port=port("--port"),
        listen=host("--host"),
        variables=(("UVICORN_PORT", "{port}"), ("UVICORN_HOST", "127.0.0.1")),
    ),
    Program(
        name="gunicorn",
        names=("gunicorn",),
        serves=ALWAYS,
        listen=address("-b", "--bind"),
        file="gunicorn.conf.py",
        line='bind = "127.0.0.1:{port}"',
    ),
    Program(name="hypercorn", names=("hypercorn",), serves=ALWAYS, listen=address("-b", "--bind")),
    Program(
        name="granian",
        names=("granian",),
        serves=Serving(elsewhere=("--uds",)),
        port=port("--port"),
        listen=host("--host"),
    ),
    Program(
        name="daphne",
        names=("daphne",),
        serves=Serving(elsewhere=("-u", "--unix-socket", "-e", "--endpoint", "--fd")),
        port=port("-p", "--port"),
        listen=host("-b", "--bind"),
    ),
    Program(
        name="waitress",
        names=("waitress-serve", "waitress"),
        serves=Serving(elsewhere=("--listen", "--unix-socket")),
        port=port("--port="),
        listen=(Option(("--host=",), first=True), Option(("--listen=",), "address", add=False)),
    ),
    Program(
        name="Jupyter",
        names=("jupyter", *_JUPYTER_SERVERS),
        serves=Serving(words=("lab", "notebook", "server", "nbclassic"), alone=_JUPYTER_SERVERS),
        port=port("--port", "--ServerApp.port", "--NotebookApp.port"),
        listen=host("--ip", "--ServerApp.ip", "--NotebookApp.ip"),
        extra=(
            Extra(("--ServerApp.local_hostnames=localhost",), ("--ServerApp.local_hostnames",)),
            Extra(("--ServerApp.local_hostnames={name}",), ("--ServerApp.local_hostnames",), each=True),
        ),
        file="jupyter_server_config.py",
        line='c.ServerApp.ip = "127.0.0.1"',
    ),
    Program(
        name="Streamlit",
        names=("streamlit",),
        serves=Serving(words=("run", "hello")),
        port=port("--server.port"),
        listen=host("--server.address"),
        extra=(Extra(("--browser.serverAddress={name}",), ("--browser.serverAddress",)),),
        variables=(("STREAMLIT_SERVER_PORT", "{port}"), ("STREAMLIT_SERVER_ADDRESS", "127.0.0.1")),
        file=".streamlit/config.toml",
        line='[server] address = "127.0.0.1"',
    ),
    Program(name="MkDocs", names=("mkdocs",), serves=Serving(words=("serve",)), listen=address("-a", "--dev-addr")),
    Program(
        name="python -m http.server",
        names=("http.server",),
        serves=ALWAYS,
        port=Option((), "positional", "{port}"),
        listen=host("--bind", "-b"),
    ),
    Program(
        name="Python",
        names=("python", "pypy"),
        generic=True,
        file=SERVE_CODE,
        line='host="127.0.0.1"',
    ),
)
