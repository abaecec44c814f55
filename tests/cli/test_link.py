"""`devproxy link` and `unlink`: which file is found, by which name it is linked, what is refused, what is written."""

import json
import os
from pathlib import Path

import pytest

from devproxy.cli.link import LinkOptions, linked
from devproxy.errors import DevproxyError
from devproxy.paths import Paths
from devproxy.registry.decode import decode_user
from devproxy.registry.leases import take_lease
from devproxy.registry.model import Lease
from devproxy.storage.process_identity import start_time
from tests.cli.command import PROJECT, Home, links, write_project
from tests.repository import git, repository, worktree

STANDARD = "[proxy]\nhttp = 80\n"  # whoever has that port now: a URL need not name it
STOPPED = "the proxy is not running; start it: devproxy start\n"


def test_link_shows_what_it_now_routes(home: Home) -> None:
    home.write(STANDARD)
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
    home.write(STANDARD)
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


def test_what_no_request_reaches_is_started_by_a_connection(home: Home) -> None:
    tcp = 'protocol = "tcp"\nlisten = "auto"\ncommand = "serve"\n'
    database = f'project = "shop"\n\n[services.db]\n{tcp}'
    write_project(home, "repo/devproxy.toml", database)
    done = home.run("link", "--trust", "repo")
    assert "\nconnections may start these commands of `shop`" in done.err
    assert 'none of them starts by a connection yet: that is `start = "on-request"`' in done.err
    write_project(home, "repo/devproxy.toml", database + 'start = "on-request"\n\n[services.web]\ncommand = "web"\n')
    assert "no connection starts `db.shop`: the commands of `shop` have changed" in home.run("check").out
    assert "requests and connections may start these commands" in home.run("link", "--trust", "repo").err
    assert "no request or connection starts a command of `shop`\n" in home.run("link", "--no-trust", "repo").err


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


# By which name a file is linked, and what becomes of the registry


DIGEST = "0123456789abcdef" * 4
HOSTS = PROJECT.replace("[services.web]", '[services.web]\nhosts = ["shop.localhost"]', 1)


def bare_with_worktrees(home: Home) -> tuple[Path, Path]:
    """Two worktrees, `main` and `fix`, of a bare repository that has no checkout of its own."""
    source = repository(home.folder / "source", {"devproxy.toml": HOSTS})
    git(home.folder, "clone", "--quiet", "--bare", str(source), "shop.git")
    bare = home.folder / "shop.git"
    git(bare, "worktree", "add", "--quiet", str(home.folder / "main"), "main")
    return home.folder / "main", worktree(bare, home.folder / "fix", "fix")


def test_a_worktree_of_a_bare_repository_can_be_the_main_checkout(home: Home) -> None:
    home.write(STANDARD)
    main, fix = bare_with_worktrees(home)
    done = home.run("link", cwd=main)
    assert "http://web.main.shop.localhost" in done.out
    assert "the repository is bare" in done.err
    assert f"to make this one it: devproxy link --main {main}\n" in done.err

    done = home.run("link", "--main", cwd=main)
    assert done.out == ("NAME      URL\napi.shop  http://api.shop.localhost\nweb.shop  http://web.shop.localhost\n")
    assert "repository is bare" not in done.err
    assert links(home) == {"shop": str(main / "devproxy.toml")}
    assert home.run("link", cwd=main).code == 0  # it stays the main one
    done = home.run("link", cwd=fix)
    assert "repository is bare" not in done.err
    assert links(home) == {"shop": str(main / "devproxy.toml"), "fix.shop": str(fix / "devproxy.toml")}


def test_there_is_one_main_checkout_and_it_has_no_label(home: Home) -> None:
    main, fix = bare_with_worktrees(home)
    home.run("link", "--main", cwd=main)
    done = home.run("link", "--main", cwd=fix)
    assert done.code == 1
    assert "is linked already, to another file" in done.err
    done = home.run("link", "--main", "--as", "two", cwd=fix)
    assert (done.code, "exclude each other" in done.err) == (2, True)
    assert home.run("link", "--main", "--force", cwd=fix).code == 0
    assert links(home) == {"shop": str(fix / "devproxy.toml")}


REGISTRY = "/home/you/registry.toml"


def link(text: str, file: Path, **more: object) -> tuple[str, str]:
    wish = LinkOptions(**{"file": file, "name": "shop", **more})  # type: ignore[arg-type]
    found = linked(text, decode_user(text, REGISTRY), wish)
    return str(found.project), found.text


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    made = [tmp_path / name / "devproxy.toml" for name in ("main", "fix", "other")]
    for file in made:
        file.parent.mkdir()
        file.write_text('project = "shop"\n')
    return made


def test_the_plain_name_and_the_label_of_a_worktree(files: list[Path]) -> None:
    main, fix, other = files
    key, text = link("# mine\n", main)
    assert (key, text) == ("shop", f'# mine\n\n[projects.shop]\npath = "{main}"\n')
    key, both = link(text, fix, worktree="fix")
    assert (key, both) == ("fix.shop", text + f'\n[projects."fix.shop"]\npath = "{fix}"\n')
    assert link(both, fix, worktree="fix") == ("fix.shop", both)
    assert link(both, main) == ("shop", both)
    assert link(both, other, label="two")[0] == "two.shop"


def test_a_checkout_keeps_its_label_unless_its_branch_is_another(files: list[Path]) -> None:
    _, text = link("", files[1], label="two")
    assert link(text, files[1])[0] == "two.shop"
    key, moved = link(text, files[1], worktree="fix")
    assert key == "fix.shop"
    assert "two.shop" not in moved


def test_the_main_checkout_stays_without_a_label(files: list[Path]) -> None:
    key, text = link("", files[0], worktree="main", label="")
    assert (key, link(text, files[0], worktree="other")) == ("shop", ("shop", text))
    assert link(text, files[0], worktree="main", label="two")[0] == "two.shop"


def test_two_branches_with_one_label_are_numbered(files: list[Path]) -> None:
    _, text = link("", files[0], worktree="fix-ui")
    key, text = link(text, files[1], worktree="fix-ui")
    assert key == "fix-ui-2.shop"
    assert link(text, files[1], worktree="fix-ui") == ("fix-ui-2.shop", text)
    assert link(text, files[2], worktree="fix-ui")[0] == "fix-ui-3.shop"


def test_a_checkout_that_is_gone_goes_with_the_next_link(files: list[Path]) -> None:
    main, fix, other = files
    text = link(link("", main)[1], fix, worktree="fix")[1]
    fix.unlink()
    assert link(text, other, worktree="new") == ("new.shop", link(link("", main)[1], other, worktree="new")[1])
    assert link(text, other, worktree="fix")[0] == "fix.shop"
    # one without a label may be on a disk that is not there now
    main.unlink()
    assert "[projects.shop]" in link(text, other, worktree="new")[1]


def test_a_link_below_the_home_folder_is_there(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Written by hand with `~/`: neither gone, nor another file."""
    main, fix, _ = files
    monkeypatch.setenv("HOME", str(main.parents[1]))
    text = '[projects."fix.shop"]\npath = "~/fix/devproxy.toml"\n'
    key, both = link(text, main)
    assert (key, both) == ("shop", text + f'\n[projects.shop]\npath = "{main}"\n')
    assert link(both, fix, worktree="fix")[0] == "fix.shop"


def test_a_name_is_not_taken_over_unless_it_is_asked_for(files: list[Path]) -> None:
    _, text = link("", files[0])
    with pytest.raises(DevproxyError, match="the project `shop` is linked already") as told:
        link(text, files[1])
    assert "--as NAME" in told.value.fix
    with pytest.raises(DevproxyError, match=r"`two\.shop` is linked already"):
        link(link(text, files[1], label="two")[1], files[2], label="two")
    assert link(text, files[1], force=True) == ("shop", text.replace(str(files[0]), str(files[1])))


def test_trust_is_added_kept_moved_and_taken_away(files: list[Path]) -> None:
    plain = link("", files[0])[1] + "\n# the end\n"
    key, trusted = link(plain, files[0], trust=DIGEST)
    assert trusted == plain.replace('toml"\n', f'toml"\ntrust = "{DIGEST}"\n')
    assert link(trusted, files[0]) == (key, trusted)
    assert f'[projects.store]\npath = "{files[0]}"\ntrust = "{DIGEST}"\n' in link(trusted, files[0], name="store")[1]
    other = DIGEST[::-1]
    assert link(trusted, files[0], trust=other)[1] == trusted.replace(DIGEST, other)
    assert link(trusted, files[0], trust="")[1] == plain


def test_a_name_taken_over_is_not_trusted(files: list[Path]) -> None:
    trusted = link("", files[0], trust=DIGEST)[1]
    assert "trust" not in link(trusted, files[1], force=True)[1]


def lease(home: Home, service: str) -> None:
    us = os.getpid()
    paths = Paths(home.registry.parent, home.state)
    take_lease(paths, service, lambda _: Lease(service=service, port=4999, pid=us, started=start_time(us) or 0.0))


def test_what_still_runs_under_a_name_that_is_gone_is_told(home: Home) -> None:
    main, fix = bare_with_worktrees(home)
    for folder in (main, fix):
        home.run("link", cwd=folder)
    lease(home, "web.main.shop")
    lease(home, "web.fix.shop")
    assert "still run" not in home.run("link", cwd=main).err
    done = home.run("link", "--main", cwd=main)
    told = "under a name that is linked no more; to end: devproxy down"
    assert f"`web.main.shop` still runs, {told} web.main.shop\n" in done.err
    assert "still run" not in home.run("unlink", "shop").err
    lease(home, "api.fix.shop")
    done = home.run("unlink", "fix.shop")
    assert f"`api.fix.shop`, `web.fix.shop` still run, {told} api.fix.shop web.fix.shop\n" in done.err
