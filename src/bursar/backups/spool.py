"""The spool: the log as it was received and not yet sealed and stored. What lies on another disk survives the data directory.

Where the database waits for the spool before it acknowledges, the spool's end is all that anybody was told. A restore to the
end may go on from the store's last mark with it, to the last whole record, which is found first and given to recovery as its target.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bursar.backups.envelope import BackupDamaged
from bursar.backups.planning import Plan, gap
from bursar.backups.source import APPLICATION
from bursar.backups.tools import start
from bursar.backups.vault import Vault
from bursar.backups.wal import SEGMENT, lsn_of, segment_name, segment_number, segment_object
from bursar.kernel.postgres import Tools

SYNCHRONOUS: Final = {"synchronous_standby_names": APPLICATION}
"""What makes the server wait for the spool before it acknowledges a commit."""

PARTIAL: Final = ".partial"
_LSN: Final = re.compile(rb"\blsn: ([0-9A-F]+/[0-9A-F]+)")


@dataclass(frozen=True, slots=True)
class Spooled:
    """The log that a spool has from where a plan ends, one segment after the other. begins: the segment in which the plan ends."""

    begins: str
    segments: Sequence[Path]


def directory_of(spool: Path, *, system: str, timeline: int) -> Path:
    """Return where the log of one timeline of one database is received."""
    return spool / f"{system}-{timeline:08X}"


def forget_older(spool: Path, *, system: str, timeline: int) -> None:
    """Remove what was received before the last restore but one."""
    for path in spool.glob(f"{system}-*"):
        told = path.name.rpartition("-")[2]
        if re.fullmatch("[0-9A-F]{8}", told) and int(told, 16) < timeline - 1:
            shutil.rmtree(path, ignore_errors=True)


def spooled(spool: Path, vault: Vault, planned: Plan) -> Spooled | None:
    """Return what a spool has for a plan to the end of the log; None where that is nothing. Nothing is written.

    Raises: BackupObjectMissing, where there is a gap between the store and the spool or inside it; BackupDamaged, where
    they hold different logs.
    """
    if planned.is_logical:
        return None
    size, last = planned.newest.segment_bytes, planned.pieces[-1] if planned.pieces else None
    begins = last.segment if last else segment_name(planned.newest.timeline, planned.newest.end_lsn // size, size)
    timeline, newest = int(begins[:8], 16), segment_number(begins, size)
    place = directory_of(spool, system=planned.newest.system, timeline=timeline)
    there = {
        segment_number(name, size): path
        for path in (sorted(place.iterdir(), reverse=True) if place.is_dir() else [])
        if SEGMENT.fullmatch(name := path.name.removesuffix(PARTIAL)) and int(name[:8], 16) == timeline
    }
    wanted = [number for number in sorted(there) if number >= newest]
    if not wanted:
        return None
    is_whole = last is not None and last.object == segment_object(last.segment)
    for number in range(newest + is_whole, wanted[-1] + 1):
        if number not in there:
            raise gap(
                [segment_name(timeline, number, size)], f"which the spool {place} should have; --no-spool does without"
            )
    if last and newest in there:
        _refuse_other(vault.whole(last.object), there[newest])
    return Spooled(begins, [there[number] for number in wanted])


def add_to(log: Path, found: Spooled, *, segment_bytes: int) -> None:
    """Put the segments of a spool beside those of the store."""
    for path in found.segments:
        placed = log / path.name.removesuffix(PARTIAL)
        shutil.copyfile(path, placed)
        with placed.open("r+b") as file:
            file.truncate(segment_bytes)
        placed.chmod(0o600)


def target_of(log: Path, found: Spooled, planned: Plan, tools: Tools) -> dict[str, str]:
    """Return the settings that make recovery go to the last whole record of the spool, and fail if it does not get there.

    Raises: BackupDamaged, where there is none.
    """
    last = found.segments[-1].name.removesuffix(PARTIAL)
    call = tools.call("pg_waldump", f"--path={log}", found.begins, last)
    at = b""
    # It ends by complaining of the place where no record follows.
    with start(call, output=subprocess.PIPE, complaints=subprocess.DEVNULL) as reading:
        assert reading.stdout
        for line in reading.stdout:
            if told := _LSN.search(line):
                at = told[1]
    size = planned.newest.segment_bytes
    # The newest segment may hold nothing yet but the end of a record that was begun in the one before.
    if not at or lsn_of(at.decode("ascii")) // size < segment_number(last, size) - 1:
        raise BackupDamaged(
            f"the log of the spool breaks off at {at.decode() or found.begins}, before {last}", hint=_WITHOUT
        )
    return {
        "recovery_target_lsn": at.decode("ascii"),
        "recovery_target_timeline": planned.settings["recovery_target_timeline"],
    }


_WITHOUT: Final = "Restore without the spool (--no-spool): what the store has is proven."


def _refuse_other(kept: bytes, path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(kept)) != kept:
            raise BackupDamaged(f"{path} is not the log that the store has", hint=_WITHOUT)
