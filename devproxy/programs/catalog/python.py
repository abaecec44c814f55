"""Python: frameworks, WSGI and ASGI servers, notebooks."""

from devproxy.programs.catalog import SERVE_CODE, Option, Program, address, host

PYTHON = (
    Program(
        program="Django",
        names=("manage.py", "django-admin", "django"),
        words=("runserver", "runserver_plus", "testserver"),
        options=(Option((), "positional", "127.0.0.1:{port}"),),
    ),
    Program(program="Flask", names=("flask",), options=host("--host", "-h")),
    Program(program="FastAPI", names=("fastapi", "fastapi_cli"), options=host("--host")),
    Program(program="uvicorn", names=("uvicorn",), options=host("--host")),
    Program(
        program="gunicorn",
        names=("gunicorn",),
        options=address("-b", "--bind"),
        file="gunicorn.conf.py",
        line='bind = "127.0.0.1:{port}"',
    ),
    Program(program="hypercorn", names=("hypercorn",), options=address("-b", "--bind")),
    Program(program="granian", names=("granian",), options=host("--host")),
    Program(program="daphne", names=("daphne",), options=host("-b", "--bind")),
    Program(
        program="waitress",
        names=("waitress-serve", "waitress"),
        options=(Option(("--host=",), first=True), Option(("--listen=",), "address", add=False)),
    ),
    Program(
        program="Jupyter",
        names=(
            *("jupyter", "jupyter-lab", "jupyter-notebook", "jupyter-server"),
            *("jupyterlab", "jupyter_server", "notebook"),
        ),
        options=host("--ip", "--ServerApp.ip", "--NotebookApp.ip"),
        file="jupyter_server_config.py",
        line='c.ServerApp.ip = "127.0.0.1"',
    ),
    Program(
        program="Streamlit",
        names=("streamlit",),
        options=host("--server.address"),
        file=".streamlit/config.toml",
        line='[server] address = "127.0.0.1"',
    ),
    Program(program="MkDocs", names=("mkdocs",), options=address("-a", "--dev-addr")),
    Program(program="python -m http.server", names=("http.server",), options=host("--bind", "-b")),
    Program(
        program="Python",
        names=("python", "pypy"),
        file=SERVE_CODE,
        line='host="127.0.0.1"',
        weak=True,
    ),
)
