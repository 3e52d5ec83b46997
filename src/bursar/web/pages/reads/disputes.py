"""Disputes as pages show them: what must be answered first, and by when in the business's own zone."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict
from bursar.kernel.zones import time_zone_of
from bursar.money.disputing import DisputeAnswer, DisputeInFull, answering, dispute_in_full
from bursar.web.pages.paging import ROWS, Slice, sliced
from bursar.web.pages.texts import sentences

FIRST_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class DisputeRow:
    """A dispute in a list. due: in the business's zone. is_soon: little time is left."""

    id: str
    payment_id: str
    customer_id: str | None
    customer: str | None
    money: Money
    status: str
    is_inquiry: bool
    reason: str | None
    due_by: datetime | None
    due: str | None
    is_soon: bool
    account: str
    is_sandbox: bool
    created_at: datetime

    @property
    def word(self) -> str:
        """The state in one word; an inquiry that is open is not a dispute yet."""
        return "inquiry" if self.is_inquiry and self.status == "needs_response" else self.status


@dataclass(frozen=True, slots=True)
class DisputePage:
    """One dispute, with what was answered. blocked: why it cannot be answered now. can_submit: something lies at the gateway to be handed over."""

    row: DisputeRow
    gateway_ref: str
    withdrawn: Money
    reinstated: Money
    found: DisputeInFull
    blocked: str | None
    can_submit: bool

    @property
    def answers(self) -> list[DisputeAnswer]:
        return self.found.answers


_COLUMNS = """
select d.id, d.payment_id, d.status, d.is_inquiry, d.amount_minor, d.currency, left(d.reason, 120) as reason, d.due_by, d.created_at,
  d.withdrawn_minor, d.reinstated_minor, left(d.gateway_ref, 255) as gateway_ref, left(a.name, 60) as account, a.gateway,
  c.id as customer_id, left(coalesce(c.name, c.email, c.gateway_ref), 80) as customer
from dispute d
join payment p on p.tenant_id = d.tenant_id and p.id = d.payment_id
join gateway_account a on a.tenant_id = d.tenant_id and a.id = d.gateway_account_id
left join customer c on c.tenant_id = p.tenant_id and c.id = p.customer_id
"""

_FIRST = f"""{_COLUMNS}
where d.tenant_id = $1 and d.status = 'needs_response' and (d.due_by is null or d.due_by > $2)
order by d.due_by nulls last, d.id limit {FIRST_MAX}
"""

_OTHERS = f"""{_COLUMNS}
where d.tenant_id = $1 and not (d.status = 'needs_response' and (d.due_by is null or d.due_by > $2)) and d.id < $3
order by d.id desc limit {ROWS + 1}
"""

_ONE = f"{_COLUMNS} where d.tenant_id = $1 and d.id = $2"

_DUE = f"""
select count(*) as disputes, min(due_by) as first_at from (
  select due_by from dispute where tenant_id = $1 and status = 'needs_response' and due_by > $2 order by due_by limit {FIRST_MAX}
) as open
"""


async def open_disputes(
    tx: Transaction, *, tenant_id: UUID, now: datetime, zone: ZoneInfo, soon: timedelta
) -> tuple[DisputeRow, ...]:
    """Return what must be answered, the most urgent first."""
    return tuple(_row(row, zone, now + soon) for row in await tx.fetch(_FIRST, tenant_id, now))


async def other_disputes(
    tx: Transaction, *, tenant_id: UUID, now: datetime, zone: ZoneInfo, below: UUID
) -> Slice[DisputeRow]:
    """Return what needs no answer, or takes none any more, newest first."""
    rows = await tx.fetch(_OTHERS, tenant_id, now, below)
    return sliced([_row(row, zone, now) for row in rows], [ids.show(ids.DISPUTE, row["id"]) for row in rows])


async def dispute_page(
    tx: Transaction, *, tenant_id: UUID, dispute_id: UUID, now: datetime, soon: timedelta
) -> DisputePage:
    """Return one dispute. Raises DisputeNotFound."""
    found = await dispute_in_full(tx, tenant_id=tenant_id, dispute_id=dispute_id)
    row = await tx.fetchrow(_ONE, tenant_id, dispute_id)
    target = await answering.target_of(tx, tenant_id=tenant_id, dispute_id=dispute_id)
    zone = await time_zone_of(tx, tenant_id=tenant_id)
    return DisputePage(
        row=_row(row, zone, now + soon),
        gateway_ref=row["gateway_ref"],
        withdrawn=Money(row["withdrawn_minor"], row["currency"]),
        reinstated=Money(row["reinstated_minor"], row["currency"]),
        found=found,
        blocked=_blocked(target, found, now),
        can_submit=target.has_evidence,
    )


async def due_disputes(tx: Transaction, *, tenant_id: UUID, now: datetime) -> tuple[int, datetime | None]:
    """Return how many disputes wait for an answer, and when the first is due."""
    row = await tx.fetchrow(_DUE, tenant_id, now)
    return row["disputes"], row["first_at"]


def _blocked(target: answering.Target, found: DisputeInFull, now: datetime) -> str | None:
    try:
        answering.guard(target, now=now)
    except Conflict as refusal:
        return sentences(refusal)
    if any(answer.ended_at is None for answer in found.answers):
        return "An answer is on its way to the gateway. Reload the page to see what became of it."
    return None


def _row(row: Any, zone: ZoneInfo, soon: datetime) -> DisputeRow:
    due_by = row["due_by"]
    return DisputeRow(
        id=ids.show(ids.DISPUTE, row["id"]),
        payment_id=ids.show(ids.PAYMENT, row["payment_id"]),
        customer_id=ids.show(ids.CUSTOMER, row["customer_id"]) if row["customer_id"] else None,
        customer=row["customer"],
        money=Money(row["amount_minor"], row["currency"]),
        status=row["status"],
        is_inquiry=row["is_inquiry"],
        reason=row["reason"].replace("_", " ") if row["reason"] else None,
        due_by=due_by,
        due=f"{due_by.astimezone(zone):%Y-%m-%d %H:%M} {zone.key}" if due_by else None,
        is_soon=due_by is not None and due_by <= soon,
        account=row["account"],
        is_sandbox=row["gateway"] == "sandbox",
        created_at=row["created_at"],
    )
