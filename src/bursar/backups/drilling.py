"""Drill: restore the newest backup into a scratch server as if everything were lost, look at it hard, remove it.

The point to restore to is the end of the log, as always; how old that may be is told from outside, by the living
database. What the database must hold, and whether the application works on it, judge others, who know what it means.
"""

import shutil
import subprocess
import time
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

import asyncpg

from bursar.backups.envelope import BackupDamaged
from bursar.backups.planning import LATEST, Plan, plan
from bursar.backups.restoring import Scene, restore
from bursar.backups.source import SESSION
from bursar.backups.taking import Tell
from bursar.backups.tools import run
from bursar.backups.vault import Vault
from bursar.kernel.errors import DomainError, Unavailable
from bursar.kernel.postgres import Recovery, Tools

_GB: Final = 1e9
_RTO_FIRST_S: Final = 10.0
_RTO_EACH_GB_S: Final = 10.0

_RESERVE_BYTES: Final = 1_000_000_000
"""What must be left for the living database while a drill lasts."""

_CHECKSUMS = "select coalesce(sum(checksum_failures), 0)::bigint from pg_stat_database"


class DrillWithoutRoom(Unavailable):
    """The disk has no room for a second copy of the database."""

    code = "drill_without_room"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. found: in words."""

    name: str
    ok: bool
    found: str


class Judge(Protocol):
    """Knows what the database is for."""

    def works(self, scene: Scene) -> Awaitable[Check]:
        """Let the application answer on it."""

    def judge(self, scene: Scene) -> Awaitable[Sequence[Check]]:
        """Hold what it has against what was counted, and against what must always be so."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known from outside, from before the drill. at: of the newest mark of the living database; what a disaster now would have to bring back."""

    mark: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Targets:
    """rpo_s: seconds of changes that may be lost. rto_s: that it may take; 0: by the size of the database."""

    rpo_s: float
    rto_s: float

    def rto_of(self, plain_bytes: int) -> float:
        return self.rto_s or _RTO_FIRST_S + _RTO_EACH_GB_S * plain_bytes / _GB


@dataclass(frozen=True, slots=True)
class Drilled:
    """What a drill found. failure: why it ended early; empty where everything was looked at."""

    backup: str | None
    point: str | None
    mark: int | None
    rto_s: float | None
    rto_target_s: float | None
    rpo_s: float | None
    checks: Sequence[Check]
    failure: str

    @property
    def is_passed(self) -> bool:
        return not self.failure and all(check.ok for check in self.checks)

    @property
    def complaint(self) -> str:
        """Say what is wrong; empty when nothing is."""
        return self.failure or "; ".join(f"{check.name}: {check.found}" for check in self.checks if not check.ok)


def drill(
    vault: Vault, tools: Tools, *, scratch: Path, known: Known, targets: Targets, judge: Judge, tell: Tell
) -> Drilled:
    """Restore, look, measure, remove. scratch: a directory for this alone, gone afterwards, whatever happens.

    What does not restore is a finding like any other, and named.
    """
    began = time.monotonic()
    seen = _Seen()
    Recovery.clear(scratch)
    try:
        planned = plan(vault, LATEST)
        seen.backup, seen.point = planned.newest.id, planned.point
        seen.rto_target_s = targets.rto_of(sum(one.plain_bytes for one in planned.chain))
        refuse_without_room(planned, scratch, "a drill")

        async def look(scene: Scene) -> None:
            seen.checks.append(await judge.works(scene))
            seen.rto_s = time.monotonic() - began
            seen.checks.extend(await judge.judge(scene))
            seen.checks.append(await _pages_read(scene.url))

        restored = restore(vault, planned, into=scratch, tools=tools, tell=tell, look=look)
        # Without the log it is restored to the end of the backup, which may be later than the newest mark in it.
        reached = restored.at if planned.is_exact else max(restored.at, planned.newest.ended)
        seen.mark, seen.rpo_s = restored.mark, max(0.0, (known.at - reached).total_seconds())
        seen.checks.append(_page_checksums(tools, restored.data))
        seen.checks += _measured(seen, known, targets)
    except DomainError as refusal:
        seen.failure = refusal.message
    except (OSError, TimeoutError, subprocess.SubprocessError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        # A disk without room for it, a server that breaks off: a restore would have met the same.
        seen.failure = f"the drill could not go on: {error or type(error).__name__}"
    finally:
        Recovery.clear(scratch)
    return seen.drilled()


def refuse_without_room(planned: Plan, scratch: Path, what: str) -> None:
    """The living database may be on the same disk, and must not pay for a drill with its own end. Raises: DrillWithoutRoom."""
    place = next(path for path in (scratch, *scratch.parents) if path.exists())
    free = shutil.disk_usage(place).free
    files = sum(one.plain_bytes for one in planned.chain)
    together = planned.newest.plain_bytes + planned.chain[0].plain_bytes if len(planned.chain) > 1 else 0
    needed = files + together + len(planned.pieces) * planned.newest.segment_bytes + _RESERVE_BYTES
    if free < needed:
        raise DrillWithoutRoom(
            f"there is no room for {what} in {place}: {needed / _GB:.1f} GB are needed with a reserve, {free / _GB:.1f} GB are free",
            hint="Make room, or do it on another machine with the store and the key; for drills with BURSAR_DRILL_HOURS=0 here.",
        )


class _Seen:
    """What a drill has seen so far."""

    def __init__(self) -> None:
        self.backup: str | None = None
        self.point: str | None = None
        self.mark: int | None = None
        self.rto_s: float | None = None
        self.rto_target_s: float | None = None
        self.rpo_s: float | None = None
        self.checks: list[Check] = []
        self.failure = ""

    def drilled(self) -> Drilled:
        return Drilled(
            self.backup,
            self.point,
            self.mark,
            self.rto_s,
            self.rto_target_s,
            self.rpo_s,
            tuple(self.checks),
            self.failure,
        )


async def _pages_read(url: str) -> Check:
    """Ask whether any page that was read so far did not have its checksum."""
    connection = await asyncpg.connect(url, timeout=10, server_settings=SESSION)
    try:
        failures = await connection.fetchval(_CHECKSUMS)
    finally:
        await connection.close(timeout=5)
    return Check("pages read", failures == 0, f"{failures} did not have their checksum")


def _page_checksums(tools: Tools, data: Path) -> Check:
    """Read every page of the stopped server's files."""
    try:
        said = run(tools, "pg_checksums", "--check", f"--pgdata={data}")
    except BackupDamaged as refusal:
        return Check("page checksums", ok=False, found=refusal.message)
    figures = ", ".join(line.strip() for line in said.splitlines() if "scanned" in line or "Bad" in line)
    return Check("page checksums", ok=True, found=" ".join(figures.split()))


def _measured(seen: _Seen, known: Known, targets: Targets) -> list[Check]:
    assert seen.rpo_s is not None
    assert seen.rto_s is not None
    assert seen.rto_target_s is not None
    return [
        Check(
            "recovery point",
            seen.rpo_s <= targets.rpo_s,
            f"{seen.rpo_s:.1f} s older than the database of {known.at.isoformat(timespec='seconds')}, {targets.rpo_s:g} s at most",
        ),
        Check(
            "recovery time",
            seen.rto_s <= seen.rto_target_s,
            f"{seen.rto_s:.1f} s to the first right answer, {seen.rto_target_s:.0f} s at most",
        ),
    ]
