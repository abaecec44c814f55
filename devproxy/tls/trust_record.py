"""Where our roots are trusted: `state/ca/trusted.json`, which `devproxy trust` and `untrust` write.

It is what URLs go by (`is_trusted`): `https://` is printed once no kind of store that was asked to trust the CA is
without it. So it is read often, and says everything that is needed: no certificate is read, no store is asked. Whoever
takes a root out of a store by hand is told by `devproxy trust --check`, which looks.

Not here: the stores (`trust_stores.py`).
"""

import time
from collections.abc import Collection, Iterable
from typing import Final

import msgspec

from devproxy.paths import Paths
from devproxy.storage import files
from devproxy.tls.names import is_below

VERSION: Final = 1


class RecordedRoot(msgspec.Struct, frozen=True):
    """A root of ours, what it is for, and until when (seconds since 1970)."""

    fingerprint: str
    tlds: tuple[str, ...]
    not_after: float


class RecordedStore(msgspec.Struct, frozen=True):
    """A store that was asked to trust our roots, and the fingerprints of those that it does; `made` where it was not
    there before."""

    kind: str
    place: str
    roots: tuple[str, ...] = ()
    is_for_urls: bool = True
    made: bool = False


class TrustRecord(msgspec.Struct, frozen=True):
    """The file."""

    version: int = VERSION
    roots: tuple[RecordedRoot, ...] = ()
    stores: tuple[RecordedStore, ...] = ()

    def is_root_trusted(self, fingerprint: str) -> bool:
        """Whether this root is trusted by a store of each kind that was asked, and that URLs depend on.

        One of a kind is enough: an old profile of Firefox that is damaged must not keep every URL at http.
        """
        asked = {store.kind for store in self.stores if store.is_for_urls}
        return bool(asked) and asked == {store.kind for store in self.stores if fingerprint in store.roots} & asked

    def covers(self, tlds: Iterable[str], now: float) -> bool:
        """Whether each of `tlds` has a root that is trusted and has not ended."""
        trusted = [root for root in self.roots if now < root.not_after and self.is_root_trusted(root.fingerprint)]
        return all(any(is_below(tld, root.tlds) for root in trusted) for tld in tlds)

    @property
    def made(self) -> Collection[str]:
        """The places of stores that were made for our roots."""
        return {store.place for store in self.stores if store.made}


def read_record(paths: Paths) -> TrustRecord:
    """What was written; an empty record where there is none, or none of ours."""
    try:
        content = files.read(paths.trusted)
        return TrustRecord() if content is None else msgspec.json.decode(content, type=TrustRecord)
    except (files.UnreadableError, msgspec.DecodeError):
        return TrustRecord()


def write_record(paths: Paths, record: TrustRecord) -> None:
    """Raises DevproxyError."""
    files.write_json(paths.trusted, record)


def is_trusted(paths: Paths, tlds: Iterable[str]) -> bool:
    """Whether clients on this machine believe our certificates for names below each of `tlds`."""
    return read_record(paths).covers(tlds, time.time())
