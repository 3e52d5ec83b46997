"""The list of events: newest first, whatever their state."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.web.pages.paging import OLDEST, ROWS, Slice, sliced

STATUSES: Final = ("received", "applied", "ignored", "failed", "dead")
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_SLACK = timedelta(days=1)
"""How far the clock that makes ids and the one that stamps rows may be apart."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event in a list. about: public id of what it changed most; effects: topics of its changes, in words."""

    id: str
    type: str
    status: str
    account: str
    is_sandbox: bool
    is_own: bool
    gateway_event_id: str
    received_at: datetime
    took: timedelta | None
    attempts: int
    retry_at: datetime | None
    error: str | None
    about: str | None
    effects: tuple[str, ...]
    money: Money | None
    customer: str | None


@dataclass(frozen=True, slots=True)
class EventFilter:
    """status: one of STATUSES. type: the whole type. since: received at or after."""

    status: str | None = None
    type: str | None = None
    since: datetime | None = None


# Each status begins from the table in which it is rare, so that no filter reads past what it shows.
_SOURCES: Final = {
    None: "gateway_event e",
    "received": "gateway_event_queue s join gateway_event e on e.tenant_id = s.tenant_id and e.id = s.event_id and s.tries = 0",
    "failed": "gateway_event_queue s join gateway_event e on e.tenant_id = s.tenant_id and e.id = s.event_id and s.tries > 0",
    "dead": "gateway_event_dead s join gateway_event e on e.tenant_id = s.tenant_id and e.id = s.event_id",
    "applied": "gateway_event e",
    "ignored": """gateway_event_outcome s join gateway_event e on e.tenant_id = s.tenant_id and e.id = s.event_id
    and s.outcome = 'ignored' and not exists (select from gateway_event_outcome l
      where l.tenant_id = s.tenant_id and l.event_id = s.event_id and l.run > s.run)""",
}
_UNTOUCHED = """
  and not exists (select from gateway_event_queue q where q.tenant_id = e.tenant_id and q.event_id = e.id)
  and not exists (select from gateway_event_dead d where d.tenant_id = e.tenant_id and d.event_id = e.id)"""
_APPLIED = """
  and 'applied' = (select o.outcome from gateway_event_outcome o
    where o.tenant_id = e.tenant_id and o.event_id = e.id order by o.run desc limit 1)"""

_LIST = """
select e.id, e.type, e.origin, left(e.gateway_event_id, 120) as gateway_event_id, e.received_at,
  left(a.name, 60) as account, a.gateway, q.tries, q.run_at, left(coalesce(d.error, q.error), 300) as error, d.reason,
  q.event_id is not null as is_queued, o.outcome, o.at as outcome_at, r.subject, r.effects
from (
  select e.tenant_id, e.id from {source}
  where e.tenant_id = $1 and e.id < $2 and e.id >= $3 and e.received_at >= $4 {conditions}
  order by e.id desc limit $5
) as picked
join gateway_event e on e.tenant_id = picked.tenant_id and e.id = picked.id
join gateway_account a on a.tenant_id = e.tenant_id and a.id = e.gateway_account_id
left join gateway_event_queue q on q.tenant_id = e.tenant_id and q.event_id = e.id
left join gateway_event_dead d on d.tenant_id = e.tenant_id and d.event_id = e.id
left join lateral (
  select outcome, at from gateway_event_outcome o
  where o.tenant_id = e.tenant_id and o.event_id = e.id order by o.run desc limit 1
) as o on true
left join lateral (
  select left(subject, 60) as subject,
    array(select distinct left(x.item->>'topic', 60) from jsonb_array_elements(
      case when jsonb_typeof(r.changes->'effects') = 'array' then r.changes->'effects' else '[]'::jsonb end) as x (item)
      order by 1 limit 6) as effects
  from audit_record r
  where r.tenant_id = e.tenant_id and r.event_id = e.id and r.subject is not null order by r.id desc limit 1
) as r on true
order by e.id desc
"""

_PAYMENTS = """
select p.id, p.amount_minor, p.currency, left(coalesce(c.name, c.email), 80) as customer
from payment p left join customer c on c.tenant_id = p.tenant_id and c.id = p.customer_id
where p.tenant_id = $1 and p.id = any($2::uuid[])
"""

# A loose scan: one step of the index for each type there is.
_TYPES = """
with recursive kind (type) as (
  (select type from gateway_event where tenant_id = $1 order by type limit 1)
  union all
  select (select e.type from gateway_event e where e.tenant_id = $1 and e.type > kind.type order by e.type limit 1)
  from kind where kind.type is not null
)
select left(type, 120) as type from kind where type is not null limit 200
"""


def list_statement(status: str | None, *, has_type: bool) -> str:
    """Return the statement that lists events of a status, or all."""
    conditions = "and e.type = $6" if has_type else ""
    if status in ("applied", "ignored"):
        conditions += _UNTOUCHED
    if status == "applied":
        conditions += _APPLIED
    return _LIST.format(source=_SOURCES[status], conditions=conditions)


async def events(
    tx: Transaction, *, tenant_id: UUID, wanted: EventFilter, below: UUID, limit: int = ROWS
) -> Slice[EventRow]:
    """Return a page of events below an id."""
    since = wanted.since
    values: list[Any] = [below, ids.least_at(since - _SLACK) if since else OLDEST, since or _EVER, limit + 1]
    if wanted.type:
        values.append(wanted.type)
    rows = await tx.fetch(list_statement(wanted.status, has_type=bool(wanted.type)), tenant_id, *values)
    told = await _told_of(tx, tenant_id=tenant_id, subjects=[row["subject"] for row in rows])
    return sliced([_row(row, told) for row in rows], [ids.show(ids.EVENT, row["id"]) for row in rows], limit=limit)


async def event_types(tx: Transaction, *, tenant_id: UUID) -> tuple[str, ...]:
    """Return the types that this tenant has received, in alphabetical order."""
    return tuple(row["type"] for row in await tx.fetch(_TYPES, tenant_id))


def status_of(row: Any) -> str:
    """Return the state of an event: where it waits or rests now, else how it was settled last."""
    if row["reason"] is not None:
        return "dead"
    if row["is_queued"]:
        return "failed" if row["tries"] else "received"
    return str(row["outcome"] or "received")


async def _told_of(tx: Transaction, *, tenant_id: UUID, subjects: Sequence[str | None]) -> dict[str, Any]:
    wanted = {own: text for text in subjects if text and (own := ids.parsed_or_none(ids.PAYMENT, text))}
    if not wanted:
        return {}
    return {wanted[row["id"]]: row for row in await tx.fetch(_PAYMENTS, tenant_id, list(wanted))}


def _worded(topic: str) -> str:
    """Return a topic as one reads it: `payment.succeeded` is `payment succeeded`."""
    return topic.replace(".", " ").replace("_", " ")


def _row(row: Any, told: dict[str, Any]) -> EventRow:
    status, payment = status_of(row), told.get(row["subject"] or "")
    settled_at = row["outcome_at"] if status in ("applied", "ignored") else None
    return EventRow(
        id=ids.show(ids.EVENT, row["id"]),
        type=row["type"],
        status=status,
        account=row["account"],
        is_sandbox=row["gateway"] == "sandbox",
        is_own=row["origin"] == "operator",
        gateway_event_id=row["gateway_event_id"],
        received_at=row["received_at"],
        took=max(settled_at - row["received_at"], timedelta()) if settled_at else None,
        attempts=row["tries"] or 0,
        retry_at=row["run_at"] if status == "failed" else None,
        error=row["error"] if status in ("failed", "dead") else None,
        about=row["subject"],
        effects=tuple(_worded(topic) for topic in row["effects"] or () if topic),
        money=Money(payment["amount_minor"], payment["currency"]) if payment else None,
        customer=payment["customer"] if payment else None,
    )
