"""`devproxy link` and `unlink`: which file is found, what is refused, what is written."""

import pytest

from tests.cli.command import PROJECT, Home, links, write_project

STOPPED = "the proxy is not running; start it: devproxy start\n"


def test_link_shows_what_it_now_routes(home: Home) -> None:
    file = write_project(home, "repo/devproxy.toml")
    assert home.run("link", "repo") == (
        0,
        "NAME      URL\napi.shop  http://api.shop.localhost\nweb.shop  http://web.shop.localhost\n",
        f"`shop` is linked: {file}\n{STOPPED}",
    )
    assert links(home) == {"shop": str(file)}


@pytest.mark.parametrize(
    ("where", "argv"),
    [
        ("repo", []),
        ("repo/src/deep", []),
        ("repo", ["."]),
        ("repo/src", [".."]),
        (".", ["repo/devproxy.toml"]),
        (".", ["repo/"]),
    ],
)
def test_the_file_that_is_meant_is_found(home: Home, where: str, argv: list[str]) -> None:
    file = write_project(home, "repo/devproxy.toml")
    folder = home.folder / where
    folder.mkdir(parents=True, exist_ok=True)
    done = home.run("link", *argv, cwd=folder)
    assert done.code == 0, done.err
    assert links(home) == {"shop": str(file)}


def test_no_file_anywhere(home: Home) -> None:
    done = home.run("link")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("no devproxy.toml here or in any folder above\n  why: looked from ")


def test_a_file_that_is_not_there(home: Home) -> None:
    done = home.run("link", "nowhere")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"there is no {home.folder / 'nowhere'}\n  fix: ")


def test_the_local_file_is_not_the_project(home: Home) -> None:
    write_project(home, "repo/devproxy.toml")
    write_project(home, "repo/devproxy.local.toml", "")
    done = home.run("link", "repo/devproxy.local.toml")
    assert done.code == 1
    assert f"fix: devproxy link {home.folder / 'repo/devproxy.toml'}\n" in done.err


def test_a_file_with_errors_is_not_linked(home: Home) -> None:
    file = write_project(home, "repo/devproxy.toml", PROJECT + 'prot = 1\n[services.x]\nport = "1"\n')
    done = home.run("link", "repo")
    assert (done.code, done.out) == (1, "")
    assert done.err.count(f"{file}:") == 2
    assert done.err.endswith(
        "not linked\n  why: the file has errors\n  fix: mend the lines above, then link it again\n"
    )
    assert links(home) == {}


def test_linking_twice_changes_nothing(home: Home) -> None:
    write_project(home, "repo/devproxy.toml")
    assert home.run("link", "repo").code == 0
    before = home.registry.read_bytes()
    assert home.run("link", "repo").code == 0
    assert home.registry.read_bytes() == before


def test_a_name_that_another_file_holds_is_not_taken_over(home: Home) -> None:
    first = write_project(home, "a/devproxy.toml")
    second = write_project(home, "b/devproxy.toml")
    assert home.run("link", "a").code == 0
    done = home.run("link", "b")
    assert done.code == 1
    assert done.err.startswith("the project `shop` is linked already, to another file\n")
    assert f"why: it is {first}\n" in done.err
    assert links(home) == {"shop": str(first)}
    assert home.run("link", "--force", "b").code == 0
    assert links(home) == {"shop": str(second)}


def test_a_project_that_was_renamed_keeps_one_link(home: Home) -> None:
    file = write_project(home, "repo/devproxy.toml")
    assert home.run("link", "repo").code == 0
    file.write_text(PROJECT.replace("shop", "store"))
    assert home.run("link", "repo").code == 0
    assert links(home) == {"store": str(file)}


def test_a_project_without_services_says_so(home: Home) -> None:
    write_project(home, "repo/devproxy.toml", 'project = "shop"\n')
    done = home.run("link", "repo")
    assert (done.code, done.out) == (0, "")
    assert "it has no services yet\n" in done.err
