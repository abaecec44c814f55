"""`devproxy rm`: what is taken out, and what it says about services that stand elsewhere."""

from tests.cli.command import SHOP, Home, services, write_all


def test_rm_takes_a_service_out(home: Home) -> None:
    home.write("# mine\n[services.web]\nport = 1\n\n[services.api]\nport = 2\n")
    assert home.run("rm", "web") == (0, f"`web` is no longer in {home.registry}\n", "")
    assert services(home) == {"api": {"port": 2}}
    assert home.run("rm", "api.localhost").code == 0


def test_rm_takes_a_broken_service_out(home: Home) -> None:
    home.write("[services.web]\nprot = 1\n\n[services.WRONG_]\nport = 1\n")
    assert home.run("rm", "WRONG_").code == 0
    assert home.run("rm", "web").code == 0


def test_rm_says_where_a_projects_service_stands(home: Home) -> None:
    shop = write_all(home)
    done = home.run("rm", "api")
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        f"{shop}:6: `api.shop` belongs to the project `shop`\n"
        "  why: its table stands in the project's own file, which your team shares\n"
        "  fix: edit that file, or let go of the whole project: devproxy unlink shop\n"
    )
    assert shop.read_text("utf-8") == SHOP


def test_rm_of_nothing_suggests(home: Home) -> None:
    home.write("[services.web]\nport = 1\n")
    assert home.run("rm", "wbe") == (1, "", "nothing is called `wbe`\n  fix: did you mean `web`?\n")
