"""The gap after a restore: what the gateways say happened since the recovery point, filed, applied and compared.

Where it stands is a file in the restored directory, so a replay that broke off goes on where it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.files import read_json, write_private_json

OVERLAP: Final = timedelta(hours=1)
"""Gateways' clocks, and reports that were on their way."""
_FILE: Final = "gap.json"


@dataclass(frozen=True, slots=True)
class Gap:
    """directory: what was restored. since: from when the gateways are asked. left: tenants that are not done."""

    directory: Path
    since: datetime
    left: Sequence[UUID]


def keep_gap(gap: Gap) -> None:
    """Write down what is left to be asked for; nothing when nothing is."""
    path = gap.directory / _FILE
    if gap.left:
        write_private_json(
            path, {"since": gap.since.isoformat(), "left": [ids.show(ids.TENANT, one) for one in gap.left]}
        )
    else:
        path.unlink(missing_ok=True)


def gap_of(directory: Path) -> Gap | None:
    """Return what a restore into this directory left to be asked for."""
    told = read_json(directory / _FILE)
    if told is None:
        return None
    left = [ids.parse(ids.TENANT, one) for one in told["left"]]
    return Gap(directory.absolute(), datetime.fromisoformat(told["since"]), left)
