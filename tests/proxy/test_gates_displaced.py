"""`proxy/gates.py`: the gate of a service in whose place another checkout answers."""

from devproxy.proxy.gates import WrongCheckout


def test_it_is_closed_says_why_and_opens_by_itself() -> None:
    gate = WrongCheckout("web is not what answers: node does", "end that process")
    assert gate.refuse
    assert gate.field == b""
    found = gate.refusal
    assert (found.status, found.code, found.reload) == (503, "other-checkout", True)
    assert (found.detail, found.fix) == ("web is not what answers: node does", "end that process")
