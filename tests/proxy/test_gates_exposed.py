"""What the data path knows of services that others can reach: one line in responses, or a refusal."""

from devproxy.proxy.gates import ExposureGate


def test_a_warning_is_one_whole_line() -> None:
    found = ExposureGate(b"exposed on 0.0.0.0:8000", "d", "f", refuse=False)
    assert found.field == b"Devproxy-Warning: exposed on 0.0.0.0:8000\r\n"
    assert ExposureGate(b"", "d", "f", refuse=False).field == b""


def test_a_refusal_says_what_and_how_and_ends_by_itself_once_it_is_mended() -> None:
    found = ExposureGate(b"", "web can be reached by others", "bind it to 127.0.0.1", refuse=True).refusal
    assert (found.status, found.code, found.reload) == (503, "exposed", True)
    assert (found.detail, found.fix) == ("web can be reached by others", "bind it to 127.0.0.1")
