"""Python: frameworks, WSGI and ASGI servers, notebooks."""

from devproxy.programs.catalog import SERVE_CODE, Option, Row, address, host

PYTHON = (
    Row(
        program="Django",
        names=("manage.py", "django-admin", "django"),
        words=("runserver", "runserver_plus", "testserver"),
        options=(Option((), "positional", "127.0.0.1:{port}"),),
    ),
    Row(program="Flask", names=("flask",), options=host("--host", "-h")),
    Row(program="FastAPI", names=("fastapi", "fastapi_cli"), options=host("--host")),
    Row(program="uvicorn", names=("uvicorn",), options=host("--host")),
    Row(
        program="gunicorn",
        names=("gunicorn",),
        options=address("-b", "--bind"),
        file="gunicorn.conf.py",
        line='bind = "127.0.0.1:{port}"',
    ),
    Row(program="hypercorn", names=("hypercorn",), options=address("-b", "--bind")),
    Row(program="granian", names=("granian",), options=host("--host")),
    Row(program="daphne", names=("daphne",), options=host("-b", "--bind")),
    Row(
        program="waitress",
        names=("waitress-serve", "waitress"),
        options=(Option(("--host=",), first=True), Option(("--listen=",), "address", add=False)),
    ),
    Row(
        program="Jupyter",
        names=(
            *("jupyter", "jupyter-lab", "jupyter-notebook", "jupyter-server"),
            *("jupyterlab", "jupyter_server", "notebook"),
        ),
        options=host("--ip", "--ServerApp.ip", "--NotebookApp.ip"),
        file="jupyter_server_config.py",
        line='c.ServerApp.ip = "127.0.0.1"',
    ),
    Row(
        program="Streamlit",
        names=("streamlit",),
        options=host("--server.address"),
        file=".streamlit/config.toml",
        line='[server] address = "127.0.0.1"',
    ),
    Row(program="MkDocs", names=("mkdocs",), options=address("-a", "--dev-addr")),
    Row(program="python -m http.server", names=("http.server",), options=host("--bind", "-b")),
    Row(
        program="Python",
        names=("python", "pypy"),
        file=SERVE_CODE,
        line='host="127.0.0.1"',
        weak=True,
    ),
)
