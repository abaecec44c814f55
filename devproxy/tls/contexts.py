"""The TLS contexts of the port for HTTPS: which certificate a client gets, and when it is made.

A server accepts with one context, `ServerContexts.context`, which has no certificate. Its callback for SNI (RFC 6066
§3) swaps in the context of the host that was asked for: one a hostname, made when the first client asks, and kept (the
least recently used goes). It is looked at again after an hour, and when the folder of authorities changes: so a
certificate is renewed, and an authority that takes the place of an older one is used, without a restart.

- No name, or one that nobody has: the alert unrecognized_name, and nothing of a certificate.
- Sessions are resumed across the swap: OpenSSL makes and reads tickets, and keeps sessions, by the context that a
  connection began with, which is always the same one; Python gives all of its contexts one session id context. The
  callback runs for them too: up to TLS 1.2 with the name that the session was made for, whatever name comes with it.
- The version is chosen before the callback runs, ALPN and the cipher after it: every context has all of the settings.

The callback runs in the event loop, so what it does is short: making a certificate takes under 1 ms, once
`cryptography` is imported and the authority is read. `prepare` does that ahead, in a thread.

Not here: certificates (`certificates.py`) and their files (`authority.py`).
"""

import datetime as dt
import ssl
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from devproxy.errors import DevproxyError
from devproxy.tls.authority import Authority, AuthorityStore, is_certifiable

MOST_CONTEXTS: Final = 512
LOOKED_AT_AGAIN: Final = dt.timedelta(hours=1)

# TLS 1.2 as RFC 9113 §9.2.2 wants it for HTTP/2: ephemeral keys and AEAD. OpenSSL's own choice stands for TLS 1.3.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
_UNRECOGNIZED: Final = ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
_INTERNAL: Final = ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _is_recent(moment: dt.datetime, now: dt.datetime) -> bool:
    """Also false where the clock was put back."""
    return dt.timedelta() <= now - moment < LOOKED_AT_AGAIN


def _ignore(_: object) -> None:
    pass


def ignore_undecodable_names() -> None:
    """Keep names in SNI that are not ASCII from printing a traceback, beside the alert that they get: Python decodes
    the name before it calls the callback, where no caller can catch what that raises."""
    previous = sys.unraisablehook

    def hook(unraisable: "sys.UnraisableHookArgs") -> None:
        if not (isinstance(unraisable.exc_value, UnicodeDecodeError) and isinstance(unraisable.object, bytes)):
            previous(unraisable)

    sys.unraisablehook = hook


class NamedContext(ssl.SSLContext):
    """A context that knows whose certificate it has: a hostname in lower case, empty for none."""

    hostname = ""


@dataclass(slots=True)
class _HostContext:
    context: NamedContext
    written: tuple[Path, int, int]  # the file, and which one it was
    version: int
    looked_at: dt.datetime


class ServerContexts:
    """The contexts for the hosts that `is_registered` says a certificate may exist for (it gets them in lower case).

    `on_error` is told what is wrong with the CA, once.
    """

    def __init__(
        self,
        store: AuthorityStore,
        tlds: Callable[[], Sequence[str]],
        is_registered: Callable[[str], bool],
        alpn: Sequence[str] = ("h2", "http/1.1"),
        *,
        now: Callable[[], dt.datetime] = _utc_now,
        on_error: Callable[[DevproxyError], None] = _ignore,
    ):
        self._store = store
        self._tlds = tlds
        self._is_registered = is_registered
        self._alpn = list(alpn)
        self._now = now
        self._on_error = on_error
        self._told = ""  # the error that was told last
        self._authorities: tuple[Authority, ...] = ()
        self._ensured: tuple[tuple[str, ...], int, dt.datetime] | None = None  # for which TLDs, what of, and when
        self._hosts: dict[str, _HostContext] = {}  # the least recently used first
        self.context = self._new_context()
        self.context.sni_callback = self._swap

    def prepare(self) -> None:
        """Import what is needed, and make or read the authorities. Blocks: for a thread. Raises DevproxyError."""
        self._ensure(self._now())

    def context_for(self, hostname: str) -> ssl.SSLContext | None:
        """The context with the certificate of `hostname`; None where there may be none. Raises DevproxyError."""
        if not is_certifiable(hostname) or not self._is_registered(hostname):
            return None
        now = self._now()
        known = self._hosts.pop(hostname, None)
        if known is None or known.version != self._store.version() or not _is_recent(known.looked_at, now):
            known = self._look(hostname, known, now)
            if known is None:
                return None
            while len(self._hosts) >= MOST_CONTEXTS:
                del self._hosts[next(iter(self._hosts))]
        self._hosts[hostname] = known
        return known.context

    def _swap(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> int | None:
        if not name:
            return _UNRECOGNIZED
        try:
            context = self.context_for(name.lower().removesuffix("."))
        except DevproxyError as error:
            self._tell(error)
            return _INTERNAL
        self._told = ""
        if context is None:
            return _UNRECOGNIZED
        connection.context = context
        return None

    def _look(self, hostname: str, known: _HostContext | None, now: dt.datetime) -> _HostContext | None:
        """What stands on the disk for `hostname`, in the context that is known where that is the same."""
        self._ensure(now)
        authority = self._store.choose(self._authorities, hostname, now)
        if authority is None:
            return None
        try:
            file = authority.issue(hostname, now)
            status = file.stat()
            written = file, status.st_ino, status.st_mtime_ns
            if known is not None and written == known.written:
                context = known.context
            else:
                context = self._new_context()
                context.load_cert_chain(file)
                context.hostname = hostname
        except OSError as error:  # ssl.SSLError is one
            raise DevproxyError(f"the certificate of {hostname} cannot be used", why=str(error)) from error
        return _HostContext(context, written, self._store.version(), now)

    def _ensure(self, now: dt.datetime) -> None:
        tlds = tuple(self._tlds())
        if self._ensured is not None:
            for_tlds, version, at = self._ensured
            if (for_tlds, version) == (tlds, self._store.version()) and _is_recent(at, now):
                return
        self._authorities = self._store.ensure(tlds, now)
        self._ensured = (tlds, self._store.version(), now)

    def _tell(self, error: DevproxyError) -> None:
        self._ensured = None  # somebody may mend it
        if str(error) != self._told:
            self._told = str(error)
            self._on_error(error)

    def _new_context(self) -> NamedContext:
        context = NamedContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_ciphers(_CIPHERS)
        context.set_alpn_protocols(self._alpn)
        return context
