"""Places in the write-ahead log: positions, segments, timelines, and which segments a recovery reads. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

SEGMENT: Final = re.compile(r"[0-9A-F]{24}")
HISTORY: Final = re.compile(r"([0-9A-F]{8})\.history")
_FORK: Final = re.compile(r"\s*(\d+)\s+([0-9A-Fa-f]+/[0-9A-Fa-f]+)")


@dataclass(frozen=True, slots=True)
class Mark:
    """A row and a restore point written to be found again: after recovery it must be there. lsn: where it ends."""

    number: int
    at: datetime
    timeline: int
    lsn: int

    @property
    def name(self) -> str:
        return point_name(self.number)

    def said(self) -> dict[str, Any]:
        return {"number": self.number, "at": self.at.isoformat(), "timeline": self.timeline, "lsn": self.lsn}


@dataclass(frozen=True, slots=True)
class Branch:
    """A timeline of a chain, and where it begins."""

    timeline: int
    begins: int


def point_name(number: int) -> str:
    return f"bursar {number}"


def mark_of(said: dict[str, Any]) -> Mark:
    return Mark(said["number"], datetime.fromisoformat(said["at"]), said["timeline"], said["lsn"])


def lsn_of(text: str) -> int:
    """Read PostgreSQL's notation of a position."""
    high, _, low = text.partition("/")
    return int(high, 16) << 32 | int(low, 16)


def lsn_text(lsn: int) -> str:
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def segment_name(timeline: int, number: int, segment_bytes: int) -> str:
    """Return the name of a segment as PostgreSQL calls its file."""
    of_each = 0x1_0000_0000 // segment_bytes
    return f"{timeline:08X}{number // of_each:08X}{number % of_each:08X}"


def segment_number(name: str, segment_bytes: int) -> int:
    return int(name[8:16], 16) * (0x1_0000_0000 // segment_bytes) + int(name[16:24], 16)


def segment_object(name: str) -> str:
    """Return what the store calls a segment."""
    return f"wal/{name[:8]}/{name}"


def tail_object(timeline: int) -> str:
    """Return what the store calls the part of the newest segment that has come so far."""
    return f"wal/{timeline:08X}/tail"


def begins_object() -> str:
    """Return what the store calls the note from where on the log is kept."""
    return "wal/begins"


def history_object(timeline: int) -> str:
    return f"wal/{timeline:08X}/history"


def chain_of(timeline: int, history: str) -> list[Branch]:
    """Return the timelines that lead to one, oldest first. history: PostgreSQL's file about it; empty for the first."""
    forks = [(int(found[1]), lsn_of(found[2])) for line in history.splitlines() if (found := _FORK.match(line))]
    ends = [0, *(lsn for _, lsn in forks)]
    return [Branch(name, begins) for name, begins in zip([*(t for t, _ in forks), timeline], ends, strict=True)]


def segments_between(start: int, end: int, *, chain: Sequence[Branch], segment_bytes: int) -> list[str]:
    """Return the segments that a recovery from `start` to `end` reads.

    Where a timeline forks off in the middle of a segment, the newer one has that segment whole and it is the one read.
    """
    names = []
    for number in range(start // segment_bytes, (end - 1) // segment_bytes + 1):
        timeline = max(branch.timeline for branch in chain if branch.begins // segment_bytes <= number)
        names.append(segment_name(timeline, number, segment_bytes))
    return names


def is_on(chain: Sequence[Branch], *, timeline: int, lsn: int) -> bool:
    """Return whether a position of a timeline lies on the way of a chain."""
    for branch, following in zip(chain, [*chain[1:], None], strict=True):
        if branch.timeline == timeline:
            return following is None or lsn <= following.begins
    return False
