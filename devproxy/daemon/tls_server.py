"""The certificates of the running proxy: which names may have one, and when the authority is read.

Nothing of it is loaded before the first client comes: `serve` is ready without.
Not here: certificates and contexts (`tls/`), accepting (`proxy/tls_accept.py`).
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING

from devproxy.errors import DevproxyError
from devproxy.paths import Paths
from devproxy.proxy.server import Proxy

if TYPE_CHECKING:
    from devproxy.tls.authority import Authority
    from devproxy.tls.contexts import ServerContexts


class TlsServer:
    """The contexts for the names of `proxy`'s registry. `tell` gets what a person should know once, in the
    loop, and how bad it is (a level of `logging`)."""

    def __init__(self, paths: Paths, proxy: Proxy, tell: Callable[[str, int], None]):
        self._paths = paths
        self._proxy = proxy
        self._tell_once = tell
        self._loop = asyncio.get_running_loop()
        self._contexts: ServerContexts | None = None
        self._turn = asyncio.Lock()

    async def context(self) -> ssl.SSLContext:
        """What to accept with."""
        if self._contexts is None:
            async with self._turn:
                if self._contexts is None:
                    self._contexts = await asyncio.to_thread(self._load)
        return self._contexts.context

    def _load(self) -> "ServerContexts":
        """Blocks: imports, and reads or makes the authority."""
        from devproxy.tls.authority import AuthorityStore
        from devproxy.tls.contexts import ServerContexts, ignore_undecodable_names

        ignore_undecodable_names()
        proxy = self._proxy
        contexts = ServerContexts(
            AuthorityStore(self._paths.authorities, self._is_trusted, self._announce),
            lambda: proxy.snapshot.settings.tlds,
            self._is_registered,
            tuple(proxy.fronts),
            on_error=self._tell,
        )
        try:
            contexts.prepare()
        except DevproxyError as error:
            self._tell(error)
        return contexts

    def _is_trusted(self, fingerprint: str) -> bool:
        from devproxy.tls.trust_record import read_record

        return read_record(self._paths).is_root_trusted(fingerprint)

    def _announce(self, made: "Authority", predecessor: "Authority | None") -> None:
        """From any thread."""
        from devproxy.tls.authority import announcement

        self._loop.call_soon_threadsafe(self._tell_once, announcement(made, predecessor), logging.WARNING)

    def _is_registered(self, hostname: str) -> bool:
        """Whether there may be a certificate for a hostname: a route leads from it, or to our own pages."""
        table = self._proxy.snapshot.table
        return hostname in table.control or table.lookup(hostname) is not None

    def _tell(self, error: DevproxyError) -> None:
        """From any thread."""
        message = f"https does not work: {error.what}: {error.why}" + (f" (fix: {error.fix})" if error.fix else "")
        self._loop.call_soon_threadsafe(self._tell_once, message, logging.ERROR)
