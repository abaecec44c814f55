"""Keeps the files of variables current that projects want (`write_env`), while the proxy runs.

How it works: whatever may have changed a value (the registry, a lease, the proxy's ports) asks for a look. One look
serves all that was asked for shortly before, and goes on in a thread. A file is written only where its block differs
(`variables/env_file.py`), so what the proxy writes asks for nothing again. What cannot be written is logged once, and
tried again at the next change.
Not here: which files there are (`registry/resolve.py`), what stands in them (`variables/names.py`).
"""

import asyncio
import logging
from collections.abc import Callable

from devproxy.errors import DevproxyError
from devproxy.registry.model import Registry
from devproxy.urls import Ports
from devproxy.variables.env_file import write_env_file

SETTLE = 0.1  # seconds that changes have to come together

_log = logging.getLogger(__name__)


class EnvWriter:
    """Writes the files that `registry()` has, with URLs at `ports()`."""

    def __init__(self, registry: Callable[[], Registry], ports: Callable[[], Ports]):
        self._registry = registry
        self._ports = ports
        self._wanted = asyncio.Event()
        self._failed: dict[str, str] = {}  # by path, what was said

    def look(self) -> None:
        """Something may have changed."""
        self._wanted.set()

    async def run(self) -> None:
        """Look whenever that is asked for, until cancelled."""
        while True:
            await self._wanted.wait()
            await asyncio.sleep(SETTLE)
            self._wanted.clear()
            try:
                await asyncio.to_thread(self._write, self._registry())
            except Exception:
                _log.exception("files of variables (`write_env`) could not be written")

    def _write(self, registry: Registry) -> None:
        failed: dict[str, str] = {}
        ports = self._ports()
        for file in registry.env_files:
            try:
                if write_env_file(file, registry, ports):
                    _log.info("%s says where the services of %s are now", file.path, file.project)
            except DevproxyError as error:
                failed[file.path] = str(error)
                if self._failed.get(file.path) != failed[file.path]:
                    _log.warning("%s", error)
        self._failed = failed
