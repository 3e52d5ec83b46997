"""Sources that are functions, because what they look at is no row or is judged elsewhere."""

import shutil
from datetime import datetime
from typing import Any

from bursar import backups
from bursar.alerts.models import Bound, Finding
from bursar.kernel.jobs import INSTALLATION
from bursar.kernel.settings import Settings
from bursar.money.reconciliation.queries import overdue_accounts

_GB = 1e9


async def disk_free(_: Any, settings: Settings, _now: datetime, bound: Bound) -> list[Finding]:
    """Look at the free space of the disk that holds this worker's data directory, or what will hold it."""
    place = next(path for path in (settings.data.absolute(), *settings.data.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free / _GB
    if free >= bound.threshold:
        return []
    return [Finding(INSTALLATION, "disk", bound.severity, free, 0, f"{free:.2f} GB are free")]


async def not_reconciled(tx: Any, _: Settings, now: datetime, bound: Bound) -> list[Finding]:
    """Look for gateway accounts that were not compared with their gateways for too long."""
    overdue = await overdue_accounts(tx, now=now)
    if overdue <= bound.threshold:
        return []
    detail = f"{overdue} gateway accounts were not compared with their gateways for 26 hours"
    return [Finding(INSTALLATION, "accounts", bound.severity, overdue, overdue, detail)]


async def backups_overdue(tx: Any, settings: Settings, _now: datetime, bound: Bound) -> list[Finding]:
    """Look at how old what a disaster would fall back on is."""
    found = await backups.ages(tx)
    complaint = backups.complaint(found, settings)
    if not complaint or found.failure:  # which has a rule of its own
        return []
    return [Finding(INSTALLATION, "backups", bound.severity, 1, 1, complaint)]
