"""What changed in a span of time, found on indexes that are there anyway.

Purchases carry the time of their last change; everything else that is only ever added has ids that begin with their
time (UUIDv7), so a range of the primary key is a range of time. What happens to classes, bookings and waitlists is told
in the outbox, under their names.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.operations.invariants import Scope

_PURCHASES = """
select id, touched_at as at from purchase where tenant_id = $1 and touched_at > $2 and touched_at <= $3 order by touched_at limit $4
"""

_ADDED = """
select {columns} from {table} where tenant_id = $1 and id > $2 and id < $3 order by id limit $4
"""

_MOVEMENTS = _ADDED.format(table="credit_movement", columns="id, lot_id, spend_id")
_SPENDS = _ADDED.format(table="credit_spend", columns="id")
_ACTIVATIONS = _ADDED.format(table="licence_activation", columns="id, licence_id")
_TRANSACTIONS = _ADDED.format(table="ledger_transaction", columns="id")
_EVENTS = _ADDED.format(table="gateway_event", columns="id")
_BOOKINGS = _ADDED.format(table="booking", columns="id")
_CLASSES = _ADDED.format(table="class_instance", columns="id")
_ENTRIES = _ADDED.format(table="waitlist_entry", columns="id")
_COUPONS = _ADDED.format(table="coupon", columns="id")
_EFFECTS = _ADDED.format(table="outbox", columns="id, subject")

_SUBSCRIPTIONS_OF = """
select s.id from purchase p
join subscription s on s.tenant_id = p.tenant_id and s.gateway_account_id = p.gateway_account_id and s.gateway_ref = p.subscription_ref
where p.tenant_id = $1 and p.id = any($2::uuid[])
"""

_SOURCES_OF = "select source_id as id from fulfilment_grant where tenant_id = $1 and id = any($2::uuid[])"

_LOTS_OF = """
select l.id from fulfilment_grant g join credit_lot l on l.tenant_id = g.tenant_id and l.grant_id = g.id
where g.tenant_id = $1 and g.source_id = any($2::uuid[])
"""

_LICENCES_OF = """
select l.id from fulfilment_grant g
join entitlement e on e.tenant_id = g.tenant_id and e.grant_id = g.id
join licence l on l.tenant_id = e.tenant_id and l.entitlement_id = e.id
where g.tenant_id = $1 and g.source_id = any($2::uuid[])
"""

_CLASSES_OF_BOOKINGS = "select class_id as id from booking where tenant_id = $1 and id = any($2::uuid[])"

_CLASSES_OF_ENTRIES = "select class_id as id from waitlist_entry where tenant_id = $1 and id = any($2::uuid[])"

_COUPONS_OF_BOOKINGS = "select distinct coupon_id as id from booking where tenant_id = $1 and id = any($2::uuid[])"

_EVENTS_OF = "select distinct event_id as id from gateway_object where tenant_id = $1 and purchase_id = any($2::uuid[])"


@dataclass(slots=True)
class Changes:
    """The ids of what changed, by what they identify. through: everything up to this instant is among them."""

    through: datetime
    ids: dict[Scope, set[UUID]] = field(default_factory=dict)

    def add(self, scope: Scope, found: Iterable[UUID | None]) -> None:
        self.ids.setdefault(scope, set()).update(one for one in found if one is not None)

    def of(self, scope: Scope) -> list[UUID]:
        return sorted(self.ids.get(scope, ()))

    @property
    def count(self) -> int:
        return sum(map(len, self.ids.values()))


async def changes_between(
    tx: Transaction, *, tenant_id: UUID, since: datetime, until: datetime, limit: int, again: dict[Scope, list[UUID]]
) -> Changes:
    """Return what changed after `since` and up to `until`, or up to an earlier instant if it is more than `limit` of a kind.

    again: what was found broken before, and is looked at whatever changed.
    """
    span = _Span(tx, tenant_id, since, until, limit)
    purchases = await span.purchases()
    movements = await span.added(_MOVEMENTS)
    effects = await span.added(_EFFECTS)
    added = {
        Scope.spend: await span.added(_SPENDS),
        Scope.licence: await span.added(_ACTIVATIONS),
        Scope.transaction: await span.added(_TRANSACTIONS),
        Scope.event: await span.added(_EVENTS),
        Scope.class_: await span.added(_CLASSES),
        Scope.booking: await span.added(_BOOKINGS),
        Scope.entry: await span.added(_ENTRIES),
        Scope.coupon: await span.added(_COUPONS),
    }
    changes = Changes(span.until)
    changes.add(Scope.purchase, (row["id"] for row in span.within(purchases)))
    changes.add(Scope.lot, (row["lot_id"] for row in span.within(movements)))
    changes.add(Scope.spend, (row["spend_id"] for row in span.within(movements)))
    for scope, rows in added.items():
        column = "licence_id" if scope is Scope.licence else "id"
        changes.add(scope, (row[column] for row in span.within(rows)))
    for scope, known in again.items():
        changes.add(scope, known)
    subjects = [row["subject"] for row in span.within(effects)]
    changes.add(Scope.source, _parsed(ids.SUBSCRIPTION, subjects))
    changes.add(Scope.class_, _parsed(ids.CLASS, subjects))
    changes.add(Scope.booking, _parsed(ids.BOOKING, subjects))
    changes.add(Scope.entry, _parsed(ids.WAITLIST_ENTRY, subjects))
    await _follow(tx, tenant_id, changes, grants=_parsed(ids.GRANT, subjects))
    return changes


async def _follow(tx: Transaction, tenant_id: UUID, changes: Changes, *, grants: list[UUID]) -> None:
    """Add what belongs to what changed: the subscription of a purchase, the lots and licences of its grants, the class and the coupon of a booking."""

    async def related(statement: str, given: list[UUID]) -> list[UUID]:
        return [row["id"] for row in await tx.fetch(statement, tenant_id, given)] if given else []

    purchases = changes.of(Scope.purchase)
    changes.add(Scope.source, purchases)
    changes.add(Scope.source, await related(_SOURCES_OF, grants))
    changes.add(Scope.source, await related(_SUBSCRIPTIONS_OF, purchases))
    sources = changes.of(Scope.source)
    changes.add(Scope.lot, await related(_LOTS_OF, sources))
    changes.add(Scope.licence, await related(_LICENCES_OF, sources))
    changes.add(Scope.event, await related(_EVENTS_OF, purchases))
    bookings = changes.of(Scope.booking)
    changes.add(Scope.class_, await related(_CLASSES_OF_BOOKINGS, bookings))
    changes.add(Scope.coupon, await related(_COUPONS_OF_BOOKINGS, bookings))
    changes.add(Scope.class_, await related(_CLASSES_OF_ENTRIES, changes.of(Scope.entry)))


class _Span:
    """A span of time, which grows shorter where more changed in it than is looked at in one go."""

    def __init__(self, tx: Transaction, tenant_id: UUID, since: datetime, until: datetime, limit: int) -> None:
        self._tx = tx
        self._tenant_id = tenant_id
        self._since = since
        self._limit = limit
        self.until = until

    async def purchases(self) -> list[Any]:
        return self._cut(await self._tx.fetch(_PURCHASES, self._tenant_id, self._since, self.until, self._limit))

    async def added(self, statement: str) -> list[Any]:
        low, high = ids.least_at(self._since), ids.least_at(self.until)
        return self._cut(await self._tx.fetch(statement, self._tenant_id, low, high, self._limit))

    def within(self, rows: list[Any]) -> list[Any]:
        return [row for row in rows if _time_of(row) <= self.until]

    def _cut(self, rows: list[Any]) -> list[Any]:
        if len(rows) == self._limit:
            self.until = min(self.until, _time_of(rows[-1]))
        return rows


def _time_of(row: Any) -> datetime:
    told: datetime | None = dict(row).get("at")
    return told or datetime.fromtimestamp((row["id"].int >> 80) / 1000, UTC)


def _parsed(prefix: str, subjects: Iterable[str]) -> list[UUID]:
    return [ids.parse(prefix, subject) for subject in subjects if subject.startswith(f"{prefix}_")]
