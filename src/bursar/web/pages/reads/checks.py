"""What the running check of the invariants last saw."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from bursar.kernel.db import Transaction

_FAILURES_MAX = 100
_OFFENDING_MAX = 20


@dataclass(frozen=True, slots=True)
class Failure:
    """A broken invariant. rows: what breaks it, field by field."""

    name: str
    promises: str
    rows: tuple[tuple[tuple[str, str], ...], ...]


@dataclass(frozen=True, slots=True)
class Checks:
    """checked_through: what changed before this instant has been looked at."""

    checked_at: datetime
    checked_through: datetime
    checked_rows: int
    failures: tuple[Failure, ...]


_SWEEP = """
select checked_at, checked_through, checked_rows, failures::text as failures from invariant_sweep where tenant_id = $1
"""


async def checks(tx: Transaction, *, tenant_id: UUID) -> Checks | None:
    """Return the last look; None before the first."""
    row = await tx.fetchrow(_SWEEP, tenant_id)
    if row is None:
        return None
    told = msgspec.json.decode(row["failures"])
    failures = told if isinstance(told, list) else [told]
    return Checks(
        checked_at=row["checked_at"],
        checked_through=row["checked_through"],
        checked_rows=row["checked_rows"],
        failures=tuple(_failure(item) for item in failures[:_FAILURES_MAX]),
    )


def _failure(item: Any) -> Failure:
    if not isinstance(item, dict):
        return Failure(str(item)[:200], "", ())
    offending = item.get("offending", item.get("rows", []))
    rows = offending if isinstance(offending, list) else [offending]
    return Failure(
        name=str(item.get("name", item.get("invariant", "an invariant")))[:120],
        promises=str(item.get("promises", ""))[:500],
        rows=tuple(_fields(row) for row in rows[:_OFFENDING_MAX]),
    )


def _fields(row: Any) -> tuple[tuple[str, str], ...]:
    if isinstance(row, dict):
        return tuple((str(name)[:60], str(value)[:200]) for name, value in row.items())
    return (("row", str(row)[:200]),)
