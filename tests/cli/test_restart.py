"""`devproxy restart`: its options; what it does is tested with real processes in `tests/daemon/test_control.py`."""

from devproxy.cli.restart import command
from tests.cli.command import Home


def test_no_option_widens_where_the_proxy_listens() -> None:
    options = {option for parameter in command.params for option in parameter.opts}
    assert options <= {"--http"}


def test_a_wrong_port_does_not_end_the_proxy_first(home: Home) -> None:
    done = home.run("restart", "--http", "65536")
    assert (done.code, done.out) == (2, "")
