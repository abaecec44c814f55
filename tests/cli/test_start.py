"""`devproxy start`: its options; what it does is tested with real processes in `tests/daemon/test_control.py`."""

from devproxy.cli.start import command
from tests.cli.command import Home


def test_no_option_widens_where_the_proxy_listens() -> None:
    options = {option for parameter in command.params for option in parameter.opts}
    assert options <= {"--http"}


def test_a_port_is_a_port(home: Home) -> None:
    assert home.run("start", "--http", "80a").code == 2
