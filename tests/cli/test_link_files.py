"""`cli/link.py`: by which name a file is linked, and what becomes of the registry."""

from pathlib import Path

import pytest

from devproxy.cli.link import LinkOptions, linked
from devproxy.errors import DevproxyError
from devproxy.registry.decode import decode_user

DIGEST = "0123456789abcdef" * 4
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
