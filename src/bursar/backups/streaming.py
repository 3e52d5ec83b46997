"""Bring the log to the store as it is written, and take base backups when they are due. One process does this.

`pg_receivewal` writes the log into a directory of ours, through a slot, so that the server keeps what has not come yet.
Every few seconds a mark is written into the database; once the receiver has it, finished segments and the part of the
newest one go to the store, and with that part the mark: up to there a restore must come, or it is refused.
"""

import asyncio
import shutil
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import asyncpg
import structlog

from bursar.backups.attempts import Attempts
from bursar.backups.catalogue import list_backups
from bursar.backups.drills import clear_leftovers, columns_of
from bursar.backups.due import Rhythm, due
from bursar.backups.pruning import Keeping, prune
from bursar.backups.source import APPLICATION, INCREMENTAL_SINCE, SLOT, Connection, Source, connected
from bursar.backups.spool import PARTIAL, directory_of, forget_older
from bursar.backups.standing import log_begins, prove_log
from bursar.backups.taking import Place, take_or_full
from bursar.backups.tools import start
from bursar.backups.wal import (
    HISTORY,
    SEGMENT,
    Mark,
    begins_object,
    history_object,
    segment_name,
    segment_number,
    segment_object,
    tail_object,
)
from bursar.kernel import processes
from bursar.kernel.errors import DomainError, Unavailable
from bursar.kernel.pauses import pause

log = structlog.get_logger(__name__)

MARKS_KEPT: Final = 1000
PROVE_EVERY_S: Final = 300.0
LOOK_EVERY_S: Final = 15.0
DRILL_AGAIN: Final = {
    "failed": timedelta(hours=1),
    "broken_off": timedelta(minutes=10),
    "running": timedelta(minutes=10),
}
_RECEIVED_MAX_S: Final = 10.0
_POLL_S: Final = 0.1


class LogBehind(Unavailable):
    """What was written into the database has not come through the stream."""

    code = "backup_log_behind"


class ReceiverEnded(Unavailable):
    """The program that receives the log has ended."""

    code = "backup_receiver_ended"


@dataclass(frozen=True, slots=True)
class Drills:
    """How often a drill is done, and by which command; it answers with JSON, and is a process that may die. scratch: its directory."""

    every: timedelta
    command: Sequence[str]
    environment: Mapping[str, str]
    scratch: Path


@dataclass(frozen=True, slots=True)
class Manner:
    """How backups are made. spool: a directory of this process alone. mark_s: seconds from mark to mark.

    is_synchronous: what is received is on the disk before the server is told so, which may wait for that.
    """

    spool: Path
    mark_s: float
    rhythm: Rhythm
    keeping: Keeping
    drills: Drills | None = None
    is_synchronous: bool = False


class Stream:
    """One run of the process that keeps the log and takes backups."""

    def __init__(self, place: Place, manner: Manner) -> None:
        self._place = place
        self._manner = manner
        self._spool = manner.spool
        self._marks: deque[Mark] = deque(maxlen=MARKS_KEPT)
        self._kept: set[str] = set()
        self._is_new = False
        self._is_first = False
        self._attempts = Attempts(place.url)

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until told to stop. Raises what the supervisor shall start it again for."""
        async with connected(self._place.url) as connection:
            source = await connection.source()
            await connection.want(is_wanted=True)
            self._is_first = (await connection.standing()).backed_up_at is None
            await connection.summarise(source.number)
            await connection.quiet()
            self._spool = directory_of(self._manner.spool, system=source.system, timeline=source.timeline)
            forget_older(self._manner.spool, system=source.system, timeline=source.timeline)
            self._is_new = await connection.add_slot()
            if self._is_new:
                # What came before is no beginning of what comes now.
                shutil.rmtree(self._spool, ignore_errors=True)
            receiver = self._receive()
            try:
                await asyncio.to_thread(self._claim, source)
                await self._turn(connection, source, receiver, stopping)
            except (DomainError, OSError) as failure:
                with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    await connection.failed(str(failure))
                raise
            finally:
                receiver.terminate()
                receiver.wait()

    async def _turn(
        self, connection: Connection, source: Source, receiver: "subprocess.Popen[bytes]", stopping: asyncio.Event
    ) -> None:
        """Keep the log, again and again; beside it, take the backups that are due and prove the log."""
        beside: asyncio.Task[None] | None = None
        drilling: asyncio.Task[None] | None = None
        looked_at = -LOOK_EVERY_S
        try:
            while not stopping.is_set():
                began = time.monotonic()
                if receiver.poll() is not None:
                    raise ReceiverEnded(
                        f"pg_receivewal ended with {receiver.returncode}", hint="Its lines stand above."
                    )
                mark = await self._bring(connection, source)
                await connection.log_kept(mark.at)
                if beside and beside.done():
                    beside.result()
                    beside = None
                    if drilling is None and self._manner.drills:
                        drilling = asyncio.create_task(drill_forever(self._place.url, self._manner.drills))
                if drilling and drilling.done():
                    drilling.result()
                if beside is None and time.monotonic() - looked_at >= LOOK_EVERY_S:
                    looked_at = time.monotonic()
                    beside = asyncio.create_task(self._look_after(source))
                await pause(stopping, max(0.05, self._manner.mark_s - (time.monotonic() - began)))
        finally:
            for task in (beside, drilling):
                if task:
                    task.cancel()
                    with suppress(asyncio.CancelledError, DomainError, OSError, asyncpg.PostgresError):
                        await task

    async def _bring(self, connection: Connection, source: Source) -> Mark:
        """Write a mark, wait until the receiver has it, and bring everything up to it to the store."""
        mark = await connection.write_mark(source.timeline)
        self._marks.append(mark)
        deadline = time.monotonic() + _RECEIVED_MAX_S
        while (received := await connection.received()) < mark.lsn:
            if time.monotonic() > deadline:
                raise LogBehind(
                    f"the log has not come for {_RECEIVED_MAX_S:.0f} s; {await connection.behind()} bytes wait in the server",
                    hint="Is the store or this machine's disk full or slow?",
                )
            await asyncio.sleep(_POLL_S)
        await asyncio.to_thread(self._store, source, mark, received)
        return mark

    def _store(self, source: Source, mark: Mark, received: int) -> None:
        """Put finished segments and timelines' histories, then the part of the newest segment with its mark."""
        vault, size = self._place.vault, source.segment_bytes
        self._claim(source)
        if self._is_new or not vault.has(begins_object()):
            vault.put(begins_object(), {"lsn": self._first(size)})
            self._is_new = False
        for path in sorted(self._spool.iterdir()):
            if found := HISTORY.fullmatch(path.name):
                self._once(path, history_object(int(found[1], 16)), {"timeline": int(found[1], 16)})
            elif SEGMENT.fullmatch(path.name):
                ends = (segment_number(path.name, size) + 1) * size
                said = next((one.said() for one in reversed(self._marks) if one.lsn <= ends), None)
                self._once(path, segment_object(path.name), {"segment": path.name, "mark": said})
        number = (mark.lsn - 1) // size
        name = segment_name(source.timeline, number, size)
        content = b"" if segment_object(name) in self._kept else self._part(name, received - number * size)
        vault.put(tail_object(source.timeline), {"segment": name, "mark": mark.said()}, [content])
        self._tidy()

    def _claim(self, source: Source) -> None:
        """Make sure, each time, that the store is ours and its disk still there."""
        self._place.vault.belongs_to(source.system, may_claim=self._is_first)
        self._is_first = False

    def _first(self, size: int) -> int:
        """Return where the log begins that has come."""
        names = sorted(path.name.removesuffix(PARTIAL) for path in self._spool.iterdir())
        return min(segment_number(name, size) for name in names if SEGMENT.fullmatch(name)) * size

    def _part(self, segment: str, size: int) -> bytes:
        """Return what has come of a segment, which may have been finished a moment ago."""
        try:
            with (self._spool / f"{segment}{PARTIAL}").open("rb") as file:
                return file.read(size)
        except FileNotFoundError:
            return (self._spool / segment).read_bytes()

    def _once(self, path: Path, name: str, said: dict[str, Any]) -> None:
        if name in self._kept:
            return
        if self._place.vault.has(name) or not self._place.vault.add(name, said, path.read_bytes()):
            self._refuse_other(path, name)
        self._kept.add(name)

    def _refuse_other(self, path: Path, name: str) -> None:
        """A segment is kept already after a restart; another installation's of the same name must not pass for it."""
        if self._place.vault.whole(name) != path.read_bytes():
            raise LogBehind(
                f"{name} in the store is another one's",
                hint="Another copy of this database streams into the same store. Give one of them its own.",
            )

    def _tidy(self) -> None:
        """Remove from the spool what is in the store. The newest segment stays: the receiver goes on after it."""
        done = sorted(path for path in self._spool.iterdir() if SEGMENT.fullmatch(path.name))
        for path in done[:-1]:
            if segment_object(path.name) in self._kept:
                path.unlink()
                self._kept.remove(segment_object(path.name))

    async def _look_after(self, source: Source) -> None:
        """Do what is due: a base backup with what follows from it, or a look at the log. What fails is written down and tried again."""
        await self._attempts.make(partial(self._do_due, source))

    async def _do_due(self, source: Source, connection: Connection) -> None:
        vault = self._place.vault
        now = (await connection.source()).now
        catalogue = await asyncio.to_thread(list_backups, vault)
        begins = await asyncio.to_thread(log_begins, vault)
        mine = [one for one in catalogue.backups if one.timeline == source.timeline and one.start_lsn >= begins]
        await connection.write_listed(columns_of(catalogue))
        kind = due(mine, self._manner.rhythm, now=now, can_increment=source.number >= INCREMENTAL_SINCE)
        standing = await connection.standing()
        if kind:
            backup = await take_or_full(self._place, kind, lambda why: log.warning("backup.full_instead", why=why))
            log.info("backup.taken", backup=backup.id, bytes=backup.size)
            await asyncio.to_thread(prune, vault, self._manner.keeping, now=now, only_shown=False)
            await connection.write_listed(columns_of(await asyncio.to_thread(list_backups, vault)))
        is_proven = standing.log_proven_at and now - standing.log_proven_at <= timedelta(seconds=PROVE_EVERY_S)
        if kind or standing.failure or not is_proven:
            await asyncio.to_thread(prove_log, vault)
            await connection.log_proven()

    def _receive(self) -> "subprocess.Popen[bytes]":
        """Start the receiver. It ends with the thread that starts it, so this is the main one."""
        self._spool.mkdir(parents=True, exist_ok=True, mode=0o700)
        call = self._place.tools.call(
            "pg_receivewal",
            f"--directory={self._spool}",
            f"--slot={SLOT}",
            "--status-interval=1",
            "--no-loop",
            *(["--synchronous"] if self._manner.is_synchronous else []),
            url=self._place.url,
            application=APPLICATION,
        )
        return start(call)


async def drill_forever(url: str, drills: Drills) -> None:
    """Drill whenever it is due, once there is a backup; at each look remove what a killed drill has left, whoever began it."""
    while True:
        await clear_leftovers(url, drills.scratch)
        async with connected(url) as connection:
            backed_up_at = (await connection.standing()).backed_up_at
            newest = await connection.newest_drill()
        if backed_up_at and is_due(newest, drills.every):
            await _drill(drills)
        await asyncio.sleep(LOOK_EVERY_S)


def is_due(newest: tuple[str, float] | None, every: timedelta) -> bool:
    """Tell whether a drill is due. newest: its state, and how many seconds ago it began. One that did not pass is repeated sooner."""
    if newest is None:
        return True
    state, ago_s = newest
    wait = min(every, DRILL_AGAIN.get(state, every))
    return ago_s >= wait.total_seconds()


async def _drill(drills: Drills) -> None:
    """Do one drill and say how it went. What it found it has written down itself."""
    process = await asyncio.create_subprocess_exec(
        *drills.command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=drills.environment,
        start_new_session=True,
        preexec_fn=processes.following(signal.SIGTERM),
    )
    try:
        said, _ = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if process.returncode:
        log.warning("drill.failed", code=process.returncode, detail=said.decode(errors="replace")[-1000:].strip())
    else:
        log.info("drill.passed")
