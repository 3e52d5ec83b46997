"""Dead letters: events that were given up, by what they died of."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.web.pages.paging import ROWS, Slice, sliced

REPLAYED_AT_ONCE = 1_000
_READ_MAX = 20_000


@dataclass(frozen=True, slots=True)
class DeadRow:
    """One dead letter."""

    id: str
    type: str
    account: str
    reason: str
    error: str
    attempts: int
    crashes: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Cause:
    """A class of errors, by which the list may be narrowed: how many died of it, when first and last. is_readable: they can be replayed."""

    key: str
    name: str
    count: int
    is_readable: bool
    first_at: datetime
    last_at: datetime


# The class of an error is its text up to what differs from one event to the next: a quote, a number.
_CAUSE = "left(replace(d.reason, '_', ' ') || ': ' || regexp_replace(left(d.error, 300), '[0-9''\"`\n].*$', ''), 160)"

# A class is named by a digest of its text, because the text itself may hold anything.
_KEY = f"left(encode(sha256(convert_to({_CAUSE}, 'UTF8')), 'hex'), 16)"

_CAUSES = f"""
select key, cause, count(*) as deaths, bool_and(is_readable) as is_readable, min(at) as first_at, max(at) as last_at
from (select {_KEY} as key, {_CAUSE} as cause, d.reason <> 'unparseable' as is_readable, d.at from gateway_event_dead d where d.tenant_id = $1 limit {_READ_MAX}) as c
group by key, cause order by deaths desc, cause limit 50
"""

_LIST = f"""
select d.event_id, e.type, left(a.name, 60) as account, d.reason, left(d.error, 400) as error, d.attempts,
  d.crashes, d.at
from gateway_event_dead d
join gateway_event e on e.tenant_id = d.tenant_id and e.id = d.event_id
join gateway_account a on a.tenant_id = e.tenant_id and a.id = e.gateway_account_id
where d.tenant_id = $1 and d.event_id < $2 and ($3::text is null or {_KEY} = $3)
order by d.event_id desc limit $4
"""

_OF_CAUSE = f"""
select d.event_id from gateway_event_dead d
where d.tenant_id = $1 and {_KEY} = $2 order by d.event_id limit {REPLAYED_AT_ONCE}
"""


async def causes(tx: Transaction, *, tenant_id: UUID) -> tuple[Cause, ...]:
    """Return what events died of, the most frequent first."""
    rows = await tx.fetch(_CAUSES, tenant_id)
    return tuple(
        Cause(row["key"], row["cause"], row["deaths"], row["is_readable"], row["first_at"], row["last_at"])
        for row in rows
    )


async def dead_letters(
    tx: Transaction, *, tenant_id: UUID, cause: str | None, below: UUID, limit: int = ROWS
) -> Slice[DeadRow]:
    rows = await tx.fetch(_LIST, tenant_id, below, cause, limit + 1)
    views = [
        DeadRow(
            id=ids.show(ids.EVENT, row["event_id"]),
            type=row["type"],
            account=row["account"],
            reason=row["reason"],
            error=row["error"],
            attempts=row["attempts"],
            crashes=row["crashes"],
            at=row["at"],
        )
        for row in rows
    ]
    return sliced(views, [view.id for view in views], limit=limit)


async def events_of_cause(tx: Transaction, *, tenant_id: UUID, cause: str) -> list[UUID]:
    """Return the dead letters of a class, oldest first, at most `REPLAYED_AT_ONCE`."""
    return [row["event_id"] for row in await tx.fetch(_OF_CAUSE, tenant_id, cause)]
