"""What a person reads when something goes wrong."""

from devproxy.errors import DevproxyError, Exit


def test_every_part_has_its_line() -> None:
    error = DevproxyError("port 80 is busy", why="nginx (pid 12) has it", fix="stop nginx", where="a.toml:3:1")
    assert str(error) == "a.toml:3:1: port 80 is busy\n  why: nginx (pid 12) has it\n  fix: stop nginx"


def test_parts_that_are_not_known_are_left_out() -> None:
    assert str(DevproxyError("no such service")) == "no such service"
    assert str(DevproxyError("no such service", fix="devproxy ls")) == "no such service\n  fix: devproxy ls"


def test_an_error_is_bad_news_unless_it_says_otherwise() -> None:
    assert DevproxyError("x").exit_code is Exit.BAD_NEWS
    assert DevproxyError("x", exit_code=Exit.REFUSED).exit_code == 4
