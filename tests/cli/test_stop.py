"""`devproxy stop`: its options; what it does is tested with real processes in `tests/daemon/test_control.py`."""

from devproxy.cli.stop import command
from tests.cli.command import Home


def test_no_option_widens_where_the_proxy_listens() -> None:
    options = {option for parameter in command.params for option in parameter.opts}
    assert options <= {"--http"}


def test_nothing_to_stop_is_no_error(home: Home) -> None:
    assert home.run("stop") == (0, "the proxy was not running\n", "")
