"""`devproxy start`, `stop` and `restart`: their options; what they do is tested with real processes in
`tests/daemon/test_control.py`.
"""

import click
import pytest

from devproxy.cli import restart, start, stop
from tests.cli.command import Home


@pytest.mark.parametrize("command", [start.command, stop.command, restart.command])
def test_no_option_widens_where_the_proxy_listens(command: click.Command) -> None:
    options = {option for one in command.params if isinstance(one, click.Option) for option in one.opts}
    assert options <= {"--http", "--https"}


def test_a_port_is_a_port(home: Home) -> None:
    assert home.run("start", "--http", "80a").code == 2


def test_a_wrong_port_does_not_end_the_proxy_first(home: Home) -> None:
    done = home.run("restart", "--http", "65536")
    assert (done.code, done.out) == (2, "")


def test_nothing_to_stop_is_no_error(home: Home) -> None:
    assert home.run("stop") == (0, "the proxy was not running\n", "")
