"""`devproxy link` and `unlink`: which file is found, what is refused, what is written."""

import json

import pytest

from tests.cli.command import PROJECT, Home, links, write_project
from tests.repository import repository, worktree

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


def test_a_worktree_has_its_branch_in_its_names(home: Home) -> None:
    main = repository(home.folder / "repo", {"devproxy.toml": PROJECT})
    there = worktree(main, home.folder / "there", "fix/ui")
    assert home.run("link", cwd=main).code == 0
    done = home.run("link", cwd=there)
    assert (done.code, done.out) == (
        0,
        "NAME             URL\n"
        "api.fix-ui.shop  http://api.fix-ui.shop.localhost\n"
        "web.fix-ui.shop  http://web.fix-ui.shop.localhost\n",
    )
    assert links(home) == {"shop": str(main / "devproxy.toml"), "fix-ui.shop": str(there / "devproxy.toml")}
    row = next(row for row in json.loads(home.run("ls", "--json").out) if row["id"] == "web.fix-ui.shop")
    assert (row["project"], row["worktree"]) == ("shop", "fix-ui")
    assert home.run("unlink", "fix-ui.shop").code == 0
    assert list(links(home)) == ["shop"]


def test_another_checkout_is_linked_beside_the_first(home: Home) -> None:
    for name in ("a", "b"):
        write_project(home, f"{name}/devproxy.toml")
        done = home.run("link", name, *(["--as", "two"] if name == "b" else []))
        assert done.code == 0, done.err
    assert list(links(home)) == ["shop", "two.shop"]
    wrong = home.run("link", "b", "--as", "Two!")
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.startswith('--as Two!: "Two!" is not a name\n')


def test_a_worktree_that_is_gone_is_a_warning_and_goes_with_the_next_link(home: Home) -> None:
    main = write_project(home, "a/devproxy.toml")
    gone = write_project(home, "b/devproxy.toml")
    assert home.run("link", "a").code == 0
    assert home.run("link", "b", "--as", "two").code == 0
    gone.unlink()
    done = home.run("check")
    assert done.code == 0
    assert "[missing-project-file]" in done.out
    assert "`two.shop` is no longer linked: its checkout is gone\n" in home.run("link", "a").err
    assert links(home) == {"shop": str(main)}


ON_REQUEST = PROJECT + 'command = "serve --api"\nstart = "on-request"\nenv = { KEY = "a b" }\n'


def test_trust_shows_what_may_be_run_and_a_change_asks_again(home: Home) -> None:
    file = write_project(home, "repo/devproxy.toml", ON_REQUEST)
    done = home.run("link", "repo")
    assert f"{file}:9:1: warning: no request starts `api.shop`: the commands of `shop` are not trusted" in done.err
    done = home.run("link", "--trust", "repo")
    assert "requests may start these commands of `shop`, until one of them changes:\n" in done.err
    assert f"  api.shop: KEY='a b' serve --api  (in {file.parent})\n" in done.err
    assert home.run("check").out == ""
    file.write_text(ON_REQUEST.replace("--api", "--evil"))
    assert "the commands of `shop` have changed since they were trusted" in home.run("check").out
    file.write_text(ON_REQUEST.replace("8000", "8001"))
    assert home.run("check").out == ""
    done = home.run("link", "--no-trust", "repo")
    assert "no request starts a command of `shop`\n" in done.err
    assert "are not trusted" in home.run("check").out
