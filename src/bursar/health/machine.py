"""What this machine has left for us: disk under the data directory, memory. None where the system does not say."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MEMORY: Final = Path("/proc/meminfo")
_OWN: Final = Path("/proc/self/statm")
_GROUP: Final = Path("/sys/fs/cgroup")
_PAGE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Machine:
    """Bytes. memory_total: of the machine or of the container, whichever is less. own_memory: of this process."""

    disk_free: int
    disk_total: int
    memory_available: int | None
    memory_total: int | None
    own_memory: int | None


def machine(data: Path) -> Machine:
    """Look. data: the data directory, or what will be it."""
    place = next(path for path in (data.absolute(), *data.absolute().parents) if path.exists())
    disk = shutil.disk_usage(place)
    available, total = _memory()
    own = _text(_OWN).split()
    return Machine(disk.free, disk.total, available, total, int(own[1]) * _PAGE_BYTES if own else None)


def _memory() -> tuple[int | None, int | None]:
    said = dict(line.split(":", 1) for line in _text(_MEMORY).splitlines() if ":" in line)
    if "MemAvailable" not in said or "MemTotal" not in said:
        return None, None
    available, total = (int(said[name].split()[0]) * 1024 for name in ("MemAvailable", "MemTotal"))
    limit, used = _text(_GROUP / "memory.max").strip(), _text(_GROUP / "memory.current").strip()
    if limit.isdigit() and used.isdigit() and int(limit) < total:
        return min(available, max(int(limit) - int(used), 0)), int(limit)
    return available, total


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
