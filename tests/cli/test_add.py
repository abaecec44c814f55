"""`devproxy add` and `rm`: what is written, what is refused before it is written, and what is said."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devproxy.cli.add import service_table
from devproxy.cli.context import load_context
from devproxy.net import endpoints
from devproxy.net.endpoints import HTTP, would_take
from devproxy.net.loopback import is_free
from devproxy.urls import host_url
from tests.cli.command import Home, services, write_all
from tests.ports import free_port, listening


def url(host: str) -> str:
    """As the proxy would serve it here, where port 80 may be somebody else's."""
    return host_url("http", host, would_take(HTTP, is_free))


STOPPED = "the proxy is not running; start it: devproxy start\n"


def test_add_writes_the_service_and_prints_its_url(home: Home) -> None:
    assert home.run("add", "web", "5173") == (
        0,
        f"{url('web.localhost')}\n",
        f"`web` is now in {home.registry}\n{STOPPED}",
    )
    assert services(home) == {"web": {"port": 5173}}
    assert home.registry.stat().st_mode & 0o777 == 0o600


def test_the_url_bears_the_port_that_the_proxy_would_take(monkeypatch: pytest.MonkeyPatch, home: Home) -> None:
    with listening() as taken:
        standard = HTTP._replace(standard=taken, fallback=free_port())
        assert would_take(standard, is_free) == standard.fallback
        with listening() as other:
            assert would_take(standard._replace(fallback=other), is_free) is None
    assert would_take(standard, is_free) == taken
    assert would_take(standard._replace(port=4), is_free) == 4
    assert would_take(standard._replace(port=0), is_free) is None
    monkeypatch.setenv("DEVPROXY_HOME", str(home.folder))
    monkeypatch.setattr(endpoints, "HTTP", standard._replace(standard=standard.fallback))
    assert load_context().ports.http == standard.fallback
    home.write("[proxy]\nhttp = 7081\n")
    assert load_context().ports.http == 7081
    assert home.run("add", "web", "5173").out == "http://web.localhost:7081\n"


def test_add_keeps_comments(home: Home) -> None:
    home.write("# mine\n[services.api]  # the api\nport = 8000\n")
    assert home.run("add", "web", "5173").code == 0
    assert home.registry.read_text("utf-8").startswith("# mine\n[services.api]  # the api\nport = 8000\n")


@pytest.mark.parametrize(
    ("argv", "table"),
    [
        (["5173"], {"port": 5173}),
        ([":5173"], {"port": 5173}),
        (["localhost:5173"], {"upstream": "http://localhost:5173"}),
        (["[::1]:5173"], {"upstream": "http://[::1]:5173"}),
        (["https://127.0.0.1:9443"], {"upstream": "https://127.0.0.1:9443"}),
        (["unix:/run/app.sock"], {"upstream": "unix:/run/app.sock"}),
        (
            ["5173", "--host", "a.localhost", "--host", "b.localhost"],
            {"port": 5173, "hosts": ["a.localhost", "b.localhost"]},
        ),
        (
            ["5173", "--host", "a.localhost", "--path", "/api"],
            {"port": 5173, "mount": [{"host": "a.localhost", "path": "/api"}]},
        ),
    ],
)
def test_what_is_typed_is_what_is_written(home: Home, argv: list[str], table: dict[str, Any]) -> None:
    done = home.run("add", "web", *argv)
    assert done.code == 0, done.err
    assert services(home) == {"web": table}


def test_a_relative_socket_is_one_of_the_folder_here(home: Home) -> None:
    assert home.run("add", "web", "unix:run/app.sock").code == 0
    assert services(home) == {"web": {"upstream": f"unix:{home.folder / 'run/app.sock'}"}}


def test_a_mount_is_printed_as_the_url(home: Home) -> None:
    done = home.run("add", "api", "8000", "--host", "shop.localhost", "--path", "/api")
    assert done.out == f"{url('shop.localhost')}/api\n"


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["web", "0"], 2, "0"),
        (["web", "65536"], 2, "65536"),
        (["web", "http://example.com:80"], 2, "example.com"),
        (["web", "192.168.1.10:80"], 2, "192.168.1.10"),
        (["web", "ftp://127.0.0.1:21"], 2, "ftp"),
        (["web", "nonsense"], 2, "nonsense"),
        (["web", ""], 2, "is not an address"),
        (["web", "unix:"], 2, "unix:"),
        (["web", "٣"], 2, "is not an address"),
        (["web", "9" * 5000], 2, "999"),
        (["", "5173"], 2, "is not a name"),
        (["we_b", "5173"], 2, "we_b"),
        (["devproxy", "5173"], 2, "devproxy"),
        (["web", "5173", "--host", "example.com"], 1, "example.com"),
        (["web", "5173", "--host", "shop.localhost", "--path", "api"], 2, "path"),
        (["web.shop", "5173"], 2, "`web.shop` is not a name for a service"),
        (["\x1b[31mweb", "5173"], 2, "\\x1b[31m"),
    ],
)
def test_a_mistake_is_never_written(home: Home, argv: list[str], code: int, says: str) -> None:
    before = "# mine\n[services.old]\nport = 1\n"
    home.write(before)
    done = home.run("add", *argv)
    assert (done.code, done.out) == (code, "")
    assert says in done.err
    assert "\n  fix: " in done.err or "\n  why: " in done.err
    assert "bug" not in done.err
    assert home.registry.read_text("utf-8") == before


@pytest.mark.slow
def test_fifty_at_once_lose_nothing(home: Home) -> None:
    home.write("# mine\n")
    with ThreadPoolExecutor(50) as pool:
        codes = list(pool.map(lambda number: home.run("add", f"s{number}", str(5000 + number)).code, range(50)))
    assert codes == [0] * 50
    assert services(home) == {f"s{number}": {"port": 5000 + number} for number in range(50)}
    assert home.registry.read_text("utf-8").startswith("# mine\n")
    assert sorted(file.name for file in home.registry.parent.iterdir()) == ["registry.schema.json", "registry.toml"]


def test_a_service_is_not_replaced_silently(home: Home) -> None:
    home.write("\n[services.web]\nport = 1\n")
    assert home.run("add", "web", "2") == (
        1,
        "",
        f"{home.registry}:2: `web` is in your registry already\n"
        "  why: it would be replaced, with everything that its table says\n"
        "  fix: choose another name, or say --force\n",
    )
    assert home.run("add", "--force", "web", "2").code == 0
    assert services(home) == {"web": {"port": 2}}


def test_a_hostname_of_a_project_is_not_taken_over(home: Home) -> None:
    write_all(home)
    before = home.registry.read_text("utf-8")
    done = home.run("add", "mine", "1", "--host", "web.shop.localhost")
    assert (done.code, done.out) == (1, "")
    assert "web.shop.localhost" in done.err
    assert home.registry.read_text("utf-8") == before


def test_a_conflict_is_found_beside_one_of_the_same_words(home: Home) -> None:
    home.write('[services.web]\nport = 1\n\n[services.api]\nport = 2\nhosts = ["web.localhost"]\n')
    assert home.run("add", "mine", "3", "--host", "web.localhost").code == 1
    assert home.run("add", "mine", "3").code == 0


def test_a_registry_with_a_mistake_elsewhere_can_still_be_added_to(home: Home) -> None:
    home.write("[services.api]\nprot = 1\nport = 8000\n")
    done = home.run("add", "web", "5173")
    assert done.code == 0, done.err
    assert services(home)["web"] == {"port": 5173}


def test_a_registry_that_is_no_toml_is_left_alone(home: Home) -> None:
    home.write("[services.api\n")
    done = home.run("add", "web", "5173")
    assert done.code == 1
    assert done.err.startswith(f"{home.registry}:1:")
    assert "nothing was written" in done.err
    assert home.registry.read_text("utf-8") == "[services.api\n"


@given(st.text(max_size=20))
def test_any_target_makes_a_table(target: str) -> None:
    table = service_table(target, (), None, Path("/here"))
    assert set(table) in ({"port"}, {"upstream"})
