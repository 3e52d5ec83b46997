"""Sources that are functions, because what they look at is no row or is judged elsewhere."""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from bursar import backups, health
from bursar.alerts.models import Bound, Finding
from bursar.kernel.jobs import INSTALLATION, Kinds, Resources
from bursar.money.reconciliation.queries import overdue_accounts

_GB: Final = 1e9
_HAVE_RULES: Final = (
    "alerts",
    "audit",
    "backups",
    "dead_letters",
    "disk",
    "gateway",
    "jobs",
    "queue",
    "reconciliation",
)
"""Parts that rules of their own look at, with numbers that may be chosen. Of these only what stands still counts here."""


async def disk_free(_: Any, held: Resources, _now: datetime, bound: Bound) -> list[Finding]:
    """Look at the free space of the disk that holds this worker's data directory, or what will hold it."""
    free = health.machine(held.settings.data).disk_free / _GB
    if free >= bound.threshold:
        return []
    return [Finding(INSTALLATION, "disk", bound.severity, free, 0, f"{free:.2f} GB are free")]


async def not_reconciled(tx: Any, _: Resources, now: datetime, bound: Bound) -> list[Finding]:
    """Look for gateway accounts that were not compared with their gateways for too long."""
    overdue = await overdue_accounts(tx, now=now)
    if overdue <= bound.threshold:
        return []
    detail = f"{overdue} gateway accounts were not compared with their gateways for 26 hours"
    return [Finding(INSTALLATION, "accounts", bound.severity, overdue, overdue, detail)]


async def backups_overdue(tx: Any, held: Resources, _now: datetime, bound: Bound) -> list[Finding]:
    """Look at how old what a disaster would fall back on is."""
    found = await backups.ages(tx)
    # That something failed has a rule of its own.
    complaint = backups.complaint(replace(found, failure=None, damage=None, drill_failure=None), held.settings)
    if not complaint or bound.threshold >= 1:
        return []
    return [Finding(INSTALLATION, "backups", bound.severity, 1, 1, complaint)]


async def parts_unwell(_: Any, held: Resources, _now: datetime, bound: Bound) -> list[Finding]:
    """Look at every part of the installation's health: those that are unhealthy, and those that are degraded and have no rule.

    What is found is looked at once more, at once: one slow answer wakes nobody.
    """
    suspected = await _unwell(held) if bound.threshold < 1 else {}
    if not suspected:
        return []
    return [
        Finding(INSTALLATION, name, bound.severity, 1, 1, f"{part.status}: {part.detail}")
        for name, part in (await _unwell(held)).items()
        if name in suspected
    ]


async def _unwell(held: Resources) -> dict[str, health.Part]:
    return {
        part.name: part
        for part in await health.current_parts(held, Kinds(()))
        if part.status == "unhealthy" or (part.status == "degraded" and part.name.partition(":")[0] not in _HAVE_RULES)
    }
