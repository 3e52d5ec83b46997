"""Runs of reconciliation and what they found, as pages show them."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.listing import Slice
from bursar.money.reconciliation import queries
from bursar.money.reconciliation.schemas import AccountStanding, Difference, Reconciliation

_SHOWN = 50

CLASSES = ("missing_here", "missing_there", "amount", "currency", "status", "fee", "timing")

_NAMES = "select id, left(name, 100) as name from gateway_account where tenant_id = $1 and id = any($2::uuid[])"


@dataclass(frozen=True, slots=True)
class AccountRow:
    id: str
    standing: AccountStanding
    running: str | None


@dataclass(frozen=True, slots=True)
class RunRow:
    """counts: by class, those that are not zero. kind: what is listed now; None when all is."""

    id: str
    account: str
    run: Reconciliation
    counts: tuple[tuple[str, int], ...]
    differing: int
    kind: str | None


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """here, there: what each side says, a line each."""

    id: str
    difference: Difference
    here: str | None
    there: str | None
    event: str | None


async def accounts_of(tx: Transaction, *, tenant_id: UUID, now: datetime) -> tuple[AccountRow, ...]:
    """Return the accounts that can be compared."""
    return tuple(
        AccountRow(
            ids.show(ids.GATEWAY_ACCOUNT, each.gateway_account),
            each,
            ids.show(ids.RECONCILIATION, each.running) if each.running else None,
        )
        for each in await queries.standings(tx, tenant_id=tenant_id, now=now)
    )


async def run_list(tx: Transaction, *, tenant_id: UUID, after: UUID | None) -> tuple[tuple[RunRow, ...], str | None]:
    """Return a page of runs, newest first, and the id after which the next page begins."""
    found = await queries.runs(tx, tenant_id=tenant_id, page=Slice(_SHOWN, after), given={})
    names = await _names(tx, tenant_id=tenant_id, runs=found.rows)
    rows = tuple(_run(each, names) for each in found.rows)
    return rows, ids.show(ids.RECONCILIATION, found.next_after) if found.next_after else None


async def run_row(tx: Transaction, *, tenant_id: UUID, run_id: UUID) -> RunRow:
    """Return one run. Raises ReconciliationNotFound."""
    run = await queries.run(tx, tenant_id=tenant_id, run_id=run_id)
    return _run(run, await _names(tx, tenant_id=tenant_id, runs=(run,)))


async def difference_list(
    tx: Transaction, *, tenant_id: UUID, run_id: UUID, named: str, state: str, after: UUID | None
) -> tuple[tuple[DifferenceRow, ...], str | None]:
    """Return a page of a run's differences, and the id after which the next page begins. named: their class."""
    given = {name: value for name, value in (("class", named), ("state", state)) if value}
    page = Slice(_SHOWN, after)
    found = await queries.differences(tx, tenant_id=tenant_id, run_id=run_id, page=page, given=given)
    rows = tuple(
        DifferenceRow(
            ids.show(ids.DIFFERENCE, each.id),
            each,
            _side(each.here),
            _side(each.there),
            ids.show(ids.EVENT, each.event) if each.event else None,
        )
        for each in found.rows
    )
    return rows, ids.show(ids.DIFFERENCE, found.next_after) if found.next_after else None


async def _names(tx: Transaction, *, tenant_id: UUID, runs: tuple[Reconciliation, ...]) -> dict[UUID, str]:
    rows = await tx.fetch(_NAMES, tenant_id, list({run.gateway_account for run in runs}))
    return {row["id"]: row["name"] for row in rows}


def _run(run: Reconciliation, names: dict[UUID, str]) -> RunRow:
    counts = tuple((name, count) for name in CLASSES if (count := getattr(run.counts, name)))
    is_listing = run.state == "listing" and run.kinds_done < len(run.kinds)
    return RunRow(
        id=ids.show(ids.RECONCILIATION, run.id),
        account=names.get(run.gateway_account, ""),
        run=run,
        counts=counts,
        differing=sum(count for _, count in counts),
        kind=run.kinds[run.kinds_done].replace("_", " ") if is_listing else None,
    )


def _side(told: dict[str, object] | None) -> str | None:
    if told is None:
        return None
    words = {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode() for name, value in told.items()
    }
    return "\n".join(f"{name.replace('_', ' ')}: {word}" for name, word in words.items())
