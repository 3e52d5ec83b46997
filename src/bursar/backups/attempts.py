"""Attempts at what is due. One that fails is written down, and is not made again at once: a backup reads the whole database."""

import time
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from bursar.backups.source import Connection, connected
from bursar.kernel.errors import DomainError

RETRY_FIRST_S: Final = 60.0
RETRY_MAX_S: Final = 900.0

log = structlog.get_logger(__name__)


class Attempts:
    """Those of one process. url: of the database that is backed up, where it is written down how they went."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._not_before = 0.0
        self._retry_s = RETRY_FIRST_S

    async def make(self, do_due: Callable[[Connection], Awaitable[None]]) -> None:
        """Do what is due, unless that failed a moment ago."""
        if time.monotonic() < self._not_before:
            return
        async with connected(self._url) as connection:
            try:
                await do_due(connection)
                await connection.well()
                self._retry_s = RETRY_FIRST_S
            except DomainError as refusal:
                self._not_before = time.monotonic() + self._retry_s
                self._retry_s = min(RETRY_MAX_S, 2 * self._retry_s)
                log.warning("backup.failed", code=refusal.code, detail=refusal.message)
                await connection.failed(refusal.message)
