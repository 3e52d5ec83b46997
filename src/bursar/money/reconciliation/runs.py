"""Runs: begin one, know where it is, move it on by one guarded statement, and end it."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, Invalid, NotFound
from bursar.money.gateways.balances import BOOKED
from bursar.money.gateways.calls import Kind
from bursar.money.intake import accounts
from bursar.money.reconciliation.models import LOOKS_BACK, Class, Run

ERROR_LENGTH_MAX: Final = 2000


class ReconciliationNotFound(NotFound):
    """No reconciliation of this tenant has this id."""

    code = "reconciliation_not_found"


class ReconciliationRunning(Conflict):
    """The account is being reconciled now."""

    code = "reconciliation_running"


class NothingOutside(Conflict):
    """The account has no other side that could be asked."""

    code = "reconciliation_nothing_outside"


class WindowInvalid(Invalid):
    """The time over which to look is empty."""

    code = "reconciliation_window_invalid"


class RunMoved(Exception):
    """Somebody else moved the run on. Nothing was written."""


_BEGIN = """
insert into reconciliation_run (tenant_id, id, gateway_account_id, actor, state, kinds, sinces, until, started_at)
values ($1, $2, $3, $4, 'listing', $5, $6, $7, $8)
on conflict (tenant_id, gateway_account_id) where state in ('listing', 'settling') do nothing
returning id
"""

_UNDER_WAY = """
select id from reconciliation_run where tenant_id = $1 and gateway_account_id = $2 and state in ('listing', 'settling')
"""

_RUN = """
select r.id, r.gateway_account_id as account_id, a.gateway, r.state, r.kinds, r.sinces, r.until, r.kinds_done, r.cursor, r.pages, r.listed_at
from reconciliation_run r
join gateway_account a on a.tenant_id = r.tenant_id and a.id = r.gateway_account_id
where r.tenant_id = $1 and r.id = $2
"""

_MOVE_ON = """
update reconciliation_run
set pages = pages + 1, cursor = $4, kinds_done = $5, state = $6, listed_at = $7, objects = objects + $8, matched = matched + $9,
  missing_here = missing_here + $10, missing_there = missing_there + $11, amount = amount + $12, currency = currency + $13,
  status = status + $14, fee = fee + $15, timing = timing + $16, updated_at = clock_timestamp()
where tenant_id = $1 and id = $2 and pages = $3 and state = 'listing'
returning id
"""

_END = """
update reconciliation_run set state = $3, error = $4, finished_at = coalesce($5, clock_timestamp()), cursor = null, updated_at = clock_timestamp()
where tenant_id = $1 and id = $2 and state in ('listing', 'settling')
returning id
"""

_FORGET_PAGES = "delete from reconciliation_page where tenant_id = $1 and run_id = $2"


async def begin_run(
    tx: Transaction,
    *,
    tenant_id: UUID,
    account_id: UUID,
    lists: Callable[[str], frozenset[Kind]],
    actor: str,
    now: datetime,
    since: datetime | None = None,
    until: datetime | None = None,
) -> UUID:
    """Write down that an account is to be compared; return the run.

    lists: what a gateway can list, by its name. since: look from then; by default each kind as far back as it may still change.
    Raises GatewayAccountNotFound, GatewayKeyMissing, NothingOutside, ReconciliationRunning, WindowInvalid.
    """
    account = await accounts.account(tx, tenant_id=tenant_id, account_id=account_id)
    listed = lists(account.gateway) - (frozenset() if account.gateway in BOOKED else {Kind.balance_transaction})
    kinds = [kind for kind in LOOKS_BACK if kind in listed]
    shown = ids.show(ids.GATEWAY_ACCOUNT, account_id)
    if account.gateway == "manual" or not kinds:
        raise NothingOutside(
            f"{shown} has no other side: money at the desk is known to nobody but Bursar",
            hint="Count the till against GET /v1/payments of this account.",
        )
    if not account.has_api_key:
        raise accounts.GatewayKeyMissing(f"{shown} has no API key", hint="Add the account with its api_key.")
    end = min(until or now, now)
    if since is not None and since >= end:
        raise WindowInvalid("since is not before until", hint="Name a time in the past, and a later one or none.")
    run_id = ids.new()
    sinces = [_since(kind, given=since, until=end) for kind in kinds]
    begun = await tx.fetchval(_BEGIN, tenant_id, run_id, account_id, actor, [k.value for k in kinds], sinces, end, now)
    if begun is None:
        running = await tx.fetchval(_UNDER_WAY, tenant_id, account_id)
        name = ids.show(ids.RECONCILIATION, running) if running else "another run"
        raise ReconciliationRunning(f"{shown} is being reconciled by {name}", hint="Wait until it is done.")
    await audit.record(
        tx,
        tenant_id=tenant_id,
        actor=actor,
        action="reconciliation.began",
        subject=ids.show(ids.RECONCILIATION, run_id),
        changes={"gateway_account": shown, "since": since.isoformat() if since else None, "until": end.isoformat()},
    )
    return run_id


async def run_of(tx: Transaction, *, tenant_id: UUID, run_id: UUID) -> Run:
    """Return a run as it stands. Raises ReconciliationNotFound."""
    row = await tx.fetchrow(_RUN, tenant_id, run_id)
    if row is None:
        raise ReconciliationNotFound(f"there is no reconciliation {ids.show(ids.RECONCILIATION, run_id)}")
    return Run(**{**dict(row), "kinds": tuple(map(Kind, row["kinds"])), "sinces": tuple(row["sinces"])})


async def move_on(
    tx: Transaction,
    run: Run,
    *,
    tenant_id: UUID,
    cursor: str | None,
    objects: int,
    counts: Mapping[Class, int],
    matched: int,
    now: datetime,
) -> None:
    """Say that a page is done, and the kind with it where the gateway named no further one.

    Raises RunMoved, in a transaction that is then to be given up, when somebody else did this page.
    """
    done = run.kinds_done + (cursor is None)
    is_listed = done == len(run.kinds)
    moved = await tx.fetchval(
        _MOVE_ON,
        tenant_id,
        run.id,
        run.pages,
        cursor,
        done,
        "settling" if is_listed else "listing",
        now if is_listed else None,
        objects,
        matched,
        *(counts.get(each, 0) for each in Class),
    )
    if moved is None:
        raise RunMoved


async def end_run(
    tx: Transaction, *, tenant_id: UUID, run_id: UUID, now: datetime | None = None, error: str | None = None
) -> bool:
    """Say that a run is done, or why it could not be. Return whether it was still under way."""
    state, why = ("failed", error[:ERROR_LENGTH_MAX]) if error else ("done", None)
    if await tx.fetchval(_END, tenant_id, run_id, state, why, now) is None:
        return False
    await tx.execute(_FORGET_PAGES, tenant_id, run_id)
    return True


def _since(kind: Kind, *, given: datetime | None, until: datetime) -> datetime | None:
    """A subscription is listed whenever it was made: what was told of it lately may be about any."""
    back = LOOKS_BACK[kind]
    if back is None:
        return None
    return given or until - back
