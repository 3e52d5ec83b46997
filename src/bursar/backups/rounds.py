"""Take logical backups when they are due, and drill them. One process does this, where base backups cannot be had."""

import asyncio
from contextlib import suppress
from typing import Final

import asyncpg
import structlog

from bursar.backups.attempts import Attempts
from bursar.backups.catalogue import list_backups
from bursar.backups.drills import columns_of
from bursar.backups.due import due
from bursar.backups.dumping import dump
from bursar.backups.pruning import prune
from bursar.backups.source import Connection, connected
from bursar.backups.streaming import LOOK_EVERY_S, Manner, drill_forever
from bursar.backups.taking import Place
from bursar.kernel.errors import DomainError
from bursar.kernel.pauses import pause

log = structlog.get_logger(__name__)

_TICK_S: Final = 0.5


class Rounds:
    """One run of the process that takes logical backups."""

    def __init__(self, place: Place, manner: Manner) -> None:
        self._place = place
        self._manner = manner
        self._attempts = Attempts(place.url)

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until told to stop. Raises what the supervisor shall start it again for."""
        async with connected(self._place.url) as connection:
            await connection.want(is_wanted=True)
            await connection.be_logical(is_logical=True)
        tasks = [asyncio.create_task(self._look_forever())]
        if self._manner.drills:
            tasks.append(asyncio.create_task(drill_forever(self._place.url, self._manner.drills)))
        try:
            while not stopping.is_set():
                for task in tasks:
                    if task.done():
                        task.result()
                await pause(stopping, _TICK_S)
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError, DomainError, OSError, asyncpg.PostgresError):
                    await task

    async def _look_forever(self) -> None:
        while True:
            await self.look_after()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look_after(self) -> None:
        """Do what is due. What fails is written down and tried again."""
        await self._attempts.make(self._do_due)

    async def _do_due(self, connection: Connection) -> None:
        vault = self._place.vault
        now = (await connection.source()).now
        catalogue = await asyncio.to_thread(list_backups, vault)
        await connection.write_listed(columns_of(catalogue))
        mine = [one for one in catalogue.backups if one.is_logical]
        if due(mine, self._manner.rhythm, now=now, can_increment=False) is None:
            return
        backup = await dump(self._place)
        log.info("backup.taken", backup=backup.id, bytes=backup.size)
        await asyncio.to_thread(prune, vault, self._manner.keeping, now=now, only_shown=False)
        await connection.write_listed(columns_of(await asyncio.to_thread(list_backups, vault)))
