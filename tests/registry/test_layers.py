"""`registry/layers.py`: project file, local file, lease: what lies over what."""

from devproxy.registry.layers import beside
from devproxy.registry.merge import merge
from devproxy.registry.model import Health, Lease, Source, Upstream
from tests.registry.merging import BOTH, LOCAL, SHOP, linked, of, services


def test_the_local_file_overrides_key_by_key() -> None:
    project = """\
project = "shop"
[services.web]
port = 5173
hosts = ["a.localhost", "b.localhost"]
env = { A = "1", B = "2" }
health = { path = "/healthz", interval = "20s" }
[[services.web.mount]]
host = "web.shop.localhost"
path = "/a"
[services.api]
upstream = "https://localhost:8000"
"""
    local = """\
[services.web]
hosts = ["c.localhost"]
env = { B = "3", C = "4" }
health = { interval = "5s" }
mount = []
[services.api]
port = 9000
[services.mine]
port = 4000
"""
    found = of("", linked(project, local))
    web = found["web.shop"]
    assert web.hosts == ("web.shop.localhost", "c.localhost")
    assert web.env == (("A", "1"), ("B", "3"), ("C", "4"))
    assert web.health == Health("/healthz", "2xx", 5.0, 2.0)
    assert web.mounts == ()
    assert web.upstream == Upstream("http", BOTH, 5173)
    assert web.source == Source(SHOP, 2)
    assert found["api.shop"].upstream == Upstream("http", BOTH, 9000)
    assert found["mine.shop"].source == Source(LOCAL, 8)


def test_a_problem_stands_where_the_key_stands() -> None:
    project = 'project = "shop"\n[services.web]\nport = 1\nenv = { A = "{url.x}", B = "" }\nhosts = ["a.example"]\n'
    local = '[services.web]\nenv = { B = "{url.y}" }\ndepends_on = ["z"]\n'
    registry = merge(None, [linked(project, local)])
    assert [(problem.file, problem.line) for problem in registry.problems] == [
        (LOCAL, 2),
        (LOCAL, 3),
        (SHOP, 4),
        (SHOP, 5),
    ]


def test_a_local_file_can_give_the_project_another_name() -> None:
    link = linked('project = "shop"\n[services.web]\n', 'project = "shop-2"\n', name="shop-2")
    assert of("", link)["web.shop-2"].hosts == ("web.shop-2.localhost", "shop-2.localhost")


def test_a_lease_supplies_the_live_port() -> None:
    text = '[services.a]\ncommand = "a"\n[services.b]\nupstream = "https://localhost:1"\n[services.c]\nport = 9\n'
    leases = [Lease(service=name, port=4000 + index, pid=1) for index, name in enumerate("abc")]
    found = of(text, leases=leases)
    assert found["a"].upstream == Upstream("http", BOTH, 4000)
    assert found["b"].upstream == Upstream("https", BOTH, 4001)
    assert found["c"].upstream == Upstream("http", BOTH, 4002)


def test_a_lease_without_a_declaration_declares_a_service() -> None:
    lease = Lease(service="app", port=4000, pid=1, hosts=("x.localhost",), file="/state/leases/app.toml")
    found = of("", leases=[lease])["app"]
    assert found.hosts == ("app.localhost", "x.localhost")
    assert found.upstream == Upstream("http", BOTH, 4000)
    assert found.source == Source("/state/leases/app.toml", 1)


def test_paths_are_beside_the_file_they_stand_in() -> None:
    assert beside("/home/you/shop/devproxy.toml", "run/a.sock") == "/home/you/shop/run/a.sock"
    assert beside("/home/you/shop/devproxy.toml", "/run/a.sock") == "/run/a.sock"
    assert beside("/home/you/shop/devproxy.toml", "../a") == "/home/you/shop/../a"
    assert beside("/home/you/shop/devproxy.toml", ".") == "/home/you/shop"


def test_a_service_in_error_still_counts_so_that_mending_it_takes_no_name_away() -> None:
    registry = merge(None, [linked('project = "shop"\n[services.web]\n[services.api]\nport = 0\n')])
    assert services(registry)["web.shop"].hosts == ("web.shop.localhost",)
