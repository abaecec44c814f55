"""What is refused where nobody has typed anything."""

import pytest
from msgspec import structs

from devproxy.errors import DevproxyError, Exit
from devproxy.run.activation import refuse_untrusted
from tests.proxy.values import service


def test_one_that_is_not_trusted_is_named_with_what_to_do() -> None:
    trusted = service("web.shop", trusted=True)
    refuse_untrusted([trusted])
    refuse_untrusted([])
    with pytest.raises(DevproxyError) as caught:
        refuse_untrusted([trusted, structs.replace(trusted, id="db.shop", trusted=False)])
    error = caught.value
    assert error.exit_code == Exit.REFUSED
    assert error.what == "`db.shop` is not started by a request"
    assert error.fix.endswith(": devproxy link --trust /team/devproxy.toml")
    assert error.where == "/team/devproxy.toml:7"
