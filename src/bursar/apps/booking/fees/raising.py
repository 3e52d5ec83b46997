"""Raise a fee, waive it, and take it back: each a guarded statement, so that a repeat changes nothing."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from bursar.apps.booking import passes, rules
from bursar.apps.booking.fees.models import COLUMNS, Fee, Offence, fee_read
from bursar.apps.booking.rules.elsewhere import FEE_FREE, LATE_CANCEL_FEE, NO_SHOW_FEE, OFFENCES
from bursar.apps.booking.schedule.telling import record_and_tell
from bursar.kernel import ids, jobs
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, NotFound
from bursar.kernel.identity import letters

RETURN: Final = "fees.return_money"
LETTER: Final = "booking.fee"
"""The letter that asks for a fee. Permanent."""

_STAFF: Final = ("user:", "operator")


class FeeNotFound(NotFound):
    """No fee of this business has this id."""

    code = "booking_fee_not_found"


class FeeNotOpen(Conflict):
    """The fee is owed no more: it was paid, waived, withdrawn or given back."""

    code = "booking_fee_not_open"


_OFFENCES = """
select count(*) from booking
where tenant_id = $1 and customer_id = $2 and starts_at > $3 and starts_at <= $4::timestamptz + interval '90 days'
  and status in ('no_show', 'late_cancelled') and id <> $5
"""

_RAISE = f"""
insert into booking_fee (tenant_id, id, booking_id, customer_id, kind, amount_minor, currency, raised_by, opened_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (tenant_id, booking_id) where status <> 'withdrawn' do nothing
returning {COLUMNS}
"""

_LOCKED = f"select {COLUMNS} from booking_fee where tenant_id = $1 and id = $2 for no key update"

_WAIVE = f"""
update booking_fee set status = 'waived', reason = $3, ended_at = $4, ended_by = $5, version = version + 1
where tenant_id = $1 and id = $2 and status = 'open'
returning {COLUMNS}
"""

_WITHDRAW = f"""
update booking_fee set status = 'withdrawn', ended_at = $3, ended_by = $4, version = version + 1
where tenant_id = $1 and booking_id = any($2::uuid[]) and status in ('open', 'paid', 'waived')
returning {COLUMNS}
"""


async def due(tx: Transaction, *, tenant_id: UUID, offence: Offence, actor: str, now: datetime) -> Money | None:
    """Return the fee that is owed for an offence; None where there is none, or its customer is spared it.

    Spared are who has one of the features that the booking's terms name, the first offences of the rule `offences`' days, and whoever
    staff cancels for, where the rule `fee_free` says so.
    """
    terms = offence.terms
    minor = terms.no_show_fee_minor if offence.kind == "no_show" else terms.late_cancel_fee_minor
    if not minor:
        return None
    chosen = await rules.settings_of(tx, tenant_id=tenant_id)
    if not rules.holds(chosen, NO_SHOW_FEE if offence.kind == "no_show" else LATE_CANCEL_FEE):
        return None
    if rules.holds(chosen, FEE_FREE):
        is_staff = offence.kind == "late_cancel" and actor.startswith(_STAFF)
        if is_staff and rules.is_chosen(chosen, FEE_FREE, "by_staff"):
            return None
        if await _is_member(tx, tenant_id=tenant_id, offence=offence):
            return None
    if terms.fee_after:
        since = now - timedelta(days=rules.number_of(chosen, OFFENCES, "days"))
        before = await tx.fetchval(_OFFENCES, tenant_id, offence.customer_id, since, now, offence.booking_id)
        if before < terms.fee_after:
            return None
    return Money(minor, terms.fee_currency)


async def raise_fee(tx: Transaction, *, tenant_id: UUID, offence: Offence, actor: str, now: datetime) -> Fee | None:
    """Let the customer owe the fee of an offence, once, and write to him; None where none is owed. The booking's row is locked."""
    money = await due(tx, tenant_id=tenant_id, offence=offence, actor=actor, now=now)
    if money is None:
        return None
    what = (offence.booking_id, offence.customer_id, offence.kind, money.minor, money.currency)
    row = await tx.fetchrow(_RAISE, tenant_id, ids.new(), *what, actor, now)
    if row is None:
        return None
    made = fee_read(row)
    await tell(tx, tenant_id=tenant_id, topic="booking_fee.raised", made=made, actor=actor)
    await letters.write_about(tx, tenant_id=tenant_id, kind=LETTER, about=_shown(made.id), now=now)
    return made


async def waive(tx: Transaction, *, tenant_id: UUID, fee_id: UUID, reason: str, actor: str, now: datetime) -> Fee:
    """Let a fee be owed no more, for a reason. A repeat changes nothing. Raises FeeNotFound, FeeNotOpen."""
    before = await locked(tx, tenant_id=tenant_id, fee_id=fee_id)
    if before.status == "waived":
        return before
    row = await tx.fetchrow(_WAIVE, tenant_id, fee_id, reason, now, actor)
    if row is None:
        hint = "Refund its payment instead." if before.status == "paid" else "There is nothing to waive."
        raise not_open(before, hint=hint)
    done = fee_read(row)
    await tell(tx, tenant_id=tenant_id, topic="booking_fee.waived", made=done, actor=actor, reason=reason)
    return done


async def withdraw(
    tx: Transaction, *, tenant_id: UUID, booking_ids: Sequence[UUID], actor: str, now: datetime
) -> list[Fee]:
    """Take back the fees of bookings whose offence was undone; what was paid for them goes back. Their rows are locked."""
    done = [fee_read(row) for row in await tx.fetch(_WITHDRAW, tenant_id, list(booking_ids), now, actor)]
    for each in done:
        await tell(tx, tenant_id=tenant_id, topic="booking_fee.withdrawn", made=each, actor=actor)
    back = [jobs.NewJob(RETURN, str(each.grant_id)) for each in done if each.grant_id]
    if back:
        await jobs.enqueue_all(tx, tenant_id=tenant_id, jobs=back)
    return done


async def locked(tx: Transaction, *, tenant_id: UUID, fee_id: UUID) -> Fee:
    """Return a fee whose row is this transaction's. Raises FeeNotFound."""
    row = await tx.fetchrow(_LOCKED, tenant_id, fee_id)
    if row is None:
        raise FeeNotFound(f"there is no fee {_shown(fee_id)}", hint="See GET /v1/booking-fees.")
    return fee_read(row)


async def tell(
    tx: Transaction, *, tenant_id: UUID, topic: str, made: Fee, actor: str, reason: str | None = None
) -> None:
    """Record what happened to a fee, and tell of it."""
    changes = made.told | ({"reason": reason} if reason else {})
    subject = _shown(made.id)
    await record_and_tell(tx, tenant_id=tenant_id, actor=actor, topic=topic, subject=subject, changes=changes)


def not_open(fee: Fee, *, hint: str) -> FeeNotOpen:
    """Return the refusal of what only a fee that is owed allows."""
    return FeeNotOpen(f"the fee {_shown(fee.id)} is {fee.status}", hint=hint)


async def _is_member(tx: Transaction, *, tenant_id: UUID, offence: Offence) -> bool:
    free = offence.terms.fee_free_for
    if not free:
        return False
    found = await passes.features_of(tx, tenant_id=tenant_id, customer_id=offence.customer_id, at=offence.starts_at)
    return any(each.key in free and not each.is_suspended for each in found)


def _shown(fee_id: UUID) -> str:
    return ids.show(ids.BOOKING_FEE, fee_id)
