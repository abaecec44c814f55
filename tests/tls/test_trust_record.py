"""What is written down of where our roots are trusted, and what URLs make of it."""

from pathlib import Path

import pytest

from devproxy.paths import Paths
from devproxy.tls.trust_record import (
    RecordedRoot,
    RecordedStore,
    TrustRecord,
    is_trusted,
    read_record,
    write_record,
)

A, B = "a" * 64, "b" * 64
NEVER = 9e9


def record(*stores: RecordedStore, until: float = NEVER) -> TrustRecord:
    return TrustRecord(roots=(RecordedRoot(A, ("localhost",), until), RecordedRoot(B, ("test",), NEVER)), stores=stores)


def store(*roots: str, kind: str = "system", is_for_urls: bool = True) -> RecordedStore:
    return RecordedStore(kind, f"/{kind}", roots, is_for_urls)


@pytest.mark.parametrize(
    ("written", "tlds", "trusted"),
    [
        (record(store(A)), ["localhost"], True),
        (record(store(A)), ["localhost", "test"], False),
        (record(store(A, B)), ["localhost", "test"], True),
        (record(store(A, B)), ["localhost", "dev.test"], True),
        (record(store(A, B)), ["nottest"], False),
        (record(store(A), store(kind="chrome")), ["localhost"], False),  # a browser that was asked, and refuses
        (record(store(A), store(A, kind="chrome")), ["localhost"], True),
        (record(store(A, kind="firefox"), store(kind="firefox")), ["localhost"], True),  # an old profile is damaged
        (record(store(A), store(kind="java", is_for_urls=False)), ["localhost"], True),
        (record(store(A, kind="java", is_for_urls=False)), ["localhost"], False),
        (record(), ["localhost"], False),
        (record(store(A), until=1.0), ["localhost"], False),
    ],
)
def test_whether_urls_may_say_https(tmp_path: Path, written: TrustRecord, tlds: list[str], trusted: bool) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state")
    assert not is_trusted(paths, tlds)
    write_record(paths, written)
    assert read_record(paths) == written
    assert is_trusted(paths, tlds) is trusted


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"roots": 3}', b"\xff", b'{"stores": [{"kind": "a"}]}'])
def test_a_damaged_file_trusts_nothing(tmp_path: Path, content: bytes) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state")
    paths.trusted.parent.mkdir(parents=True)
    paths.trusted.write_bytes(content)
    assert read_record(paths) == TrustRecord()
    assert not is_trusted(paths, ["localhost"])


def test_what_a_later_version_adds_is_passed_over(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "config", tmp_path / "state")
    write_record(paths, record(store(A)))
    paths.trusted.write_text(paths.trusted.read_text().replace('"version": 1', '"version": 2, "more": [1]'))
    assert is_trusted(paths, ["localhost"])
