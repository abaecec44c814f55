"""`devproxy unlink`: a link goes, the project's file stays."""

from tests.cli.command import PROJECT, Home, links, write_project


def test_unlink(home: Home) -> None:
    file = write_project(home, "repo/devproxy.toml")
    assert home.run("link", "repo").code == 0
    assert home.run("unlink", "shop") == (0, f"`shop` is no longer linked in {home.registry}\n", "")
    assert links(home) == {}
    assert file.read_text() == PROJECT


def test_unlink_of_a_file_that_is_gone(home: Home) -> None:
    home.write('[projects.shop]\npath = "/nowhere/devproxy.toml"\n')
    assert home.run("unlink", "shop").code == 0


def test_unlink_of_nothing(home: Home) -> None:
    assert home.run("unlink", "shop") == (
        1,
        "",
        "no project `shop` is linked\n  why: no project is\n  fix: devproxy ls shows what there is\n",
    )
    home.write('[projects.shop]\npath = "/a.toml"\n[projects.blog]\npath = "/b.toml"\n')
    assert home.run("unlink", "shp").err == "no project `shp` is linked\n  fix: did you mean `shop`?\n"
    assert home.run("unlink", "zzz").err == "no project `zzz` is linked\n  fix: linked are: shop, blog\n"
