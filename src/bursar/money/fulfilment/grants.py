"""Grants: one row for each thing granted, brought to what the merged facts say."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.money.fulfilment.fulfillers import Registry


class GrantStatus(StrEnum):
    """`superseded`: later facts showed that this was not what was bought; it is no part of the present truth."""

    active = "active"
    suspended = "suspended"
    revoked = "revoked"
    superseded = "superseded"


class GrantKey(NamedTuple):
    """The natural key: what makes a repeated event harmless."""

    source_id: UUID
    price_id: UUID
    position: int


@dataclass(frozen=True, slots=True)
class Target:
    """What a grant ought to be.

    taken_minor out of paid_minor: the share of the money that went back. spec: as the price says it.
    """

    source_kind: str
    source_id: UUID
    price_id: UUID
    position: int
    kind: str
    customer_id: UUID
    quantity: int
    spec: dict[str, Any]
    status: GrantStatus
    taken_minor: int
    paid_minor: int
    starts_at: datetime
    ends_at: datetime | None
    event_id: UUID
    recovers_shortfall: bool = False

    @property
    def key(self) -> GrantKey:
        return GrantKey(self.source_id, self.price_id, self.position)


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant as it is recorded."""

    id: UUID
    target: Target


@dataclass(frozen=True, slots=True)
class Change:
    """A grant that was opened (`before` is None) or altered, and the event that caused it."""

    grant: Grant
    before: Target | None
    event_id: UUID

    @property
    def target(self) -> Target:
        return self.grant.target


def share_taken(granted: int, target: Target) -> int:
    """Return how much of `granted` is taken back: floor(granted × R ÷ A), all of it when superseded or wholly returned."""
    if target.status is GrantStatus.superseded:
        return granted
    if target.paid_minor <= 0:
        return 0
    return granted * min(target.taken_minor, target.paid_minor) // target.paid_minor


_COLUMNS = (
    "id, source_kind, source_id, price_id, position, kind, customer_id, quantity, spec::text as spec, status, taken_minor, paid_minor, "
    "starts_at, ends_at, event_id"
)

_OF_SOURCES = f"""
select g.* from unnest($2::uuid[]) as wanted (id) cross join lateral (
  select {_COLUMNS} from fulfilment_grant where tenant_id = $1 and source_id = wanted.id for update
) g order by g.id
"""

_OPEN = """
insert into fulfilment_grant (tenant_id, id, source_kind, source_id, price_id, position, kind, customer_id, quantity, spec, status,
  taken_minor, paid_minor, starts_at, ends_at, event_id)
select $1, id, source_kind, source_id, price_id, position, kind, customer_id, quantity, spec::jsonb, status, taken_minor, paid_minor,
  starts_at, ends_at, event_id
from unnest($2::uuid[], $3::text[], $4::uuid[], $5::uuid[], $6::smallint[], $7::text[], $8::uuid[], $9::int[], $10::text[], $11::text[],
  $12::bigint[], $13::bigint[], $14::timestamptz[], $15::timestamptz[], $16::uuid[])
  as new (id, source_kind, source_id, price_id, position, kind, customer_id, quantity, spec, status, taken_minor, paid_minor,
    starts_at, ends_at, event_id)
"""

_ALTER = """
update fulfilment_grant as g
set customer_id = new.customer_id, quantity = new.quantity, status = new.status, taken_minor = new.taken_minor,
    paid_minor = new.paid_minor, starts_at = new.starts_at, ends_at = new.ends_at
from unnest($2::uuid[], $3::uuid[], $4::int[], $5::text[], $6::bigint[], $7::bigint[], $8::timestamptz[], $9::timestamptz[])
  as new (id, customer_id, quantity, status, taken_minor, paid_minor, starts_at, ends_at)
where g.tenant_id = $1 and g.id = new.id
"""

_MOVE = """
update fulfilment_grant as g set source_id = a.kept
from unnest($2::uuid[], $3::uuid[]) as a (gone, kept)
where g.tenant_id = $1 and g.source_id = a.gone
  and not exists (select 1 from fulfilment_grant k where k.tenant_id = g.tenant_id and k.source_id = a.kept
                  and k.price_id = g.price_id and k.position = g.position)
  and not exists (select 1 from fulfilment_grant k join unnest($2::uuid[], $3::uuid[]) as b (gone, kept) on k.source_id = b.gone
                  where k.tenant_id = g.tenant_id and b.kept = a.kept and k.price_id = g.price_id and k.position = g.position
                    and k.id < g.id)
"""


async def move_grants(tx: Transaction, *, tenant_id: UUID, absorbed: Mapping[UUID, UUID]) -> None:
    """Carry the grants of absorbed purchases to the surviving one; twins stay behind, to be superseded."""
    if absorbed:
        await tx.execute(_MOVE, tenant_id, list(absorbed.keys()), list(absorbed.values()))


async def bring_to(
    tx: Transaction,
    *,
    tenant_id: UUID,
    targets: Sequence[Target],
    sources: Mapping[UUID, UUID],
    registry: Registry,
    now: datetime,
) -> list[Change]:
    """Bring every grant of these sources to its target and deliver what changed; return the changes.

    sources: purchase or subscription to the event that spoke of it. A recorded grant without a target is
    superseded. Calling it twice changes nothing the second time.
    """
    if not sources:
        return []
    wanted = {target.key: target for target in targets}
    recorded = {grant.target.key: grant for grant in await _recorded(tx, tenant_id=tenant_id, sources=sources)}
    opened = [
        Change(Grant(ids.new(), target), None, target.event_id)
        for key, target in sorted(wanted.items())
        if key not in recorded
    ]
    altered = [
        Change(Grant(grant.id, target), grant.target, sources[grant.target.source_id])
        for key, grant in sorted(recorded.items())
        if _state(target := wanted.get(key) or _superseded(grant.target)) != _state(grant.target)
    ]
    if opened:
        await _open(tx, tenant_id=tenant_id, grants=[change.grant for change in opened])
    if altered:
        await _alter(tx, tenant_id=tenant_id, grants=[change.grant for change in altered])
    changes = [*opened, *altered]
    for kind in sorted({change.target.kind for change in changes}):
        of_kind = [change for change in changes if change.target.kind == kind]
        await registry[kind].deliver(tx, tenant_id=tenant_id, changes=of_kind, now=now)
    return changes


def _state(target: Target) -> tuple[object, ...]:
    return (
        target.customer_id,
        target.quantity,
        target.status,
        target.taken_minor,
        target.paid_minor,
        target.starts_at,
        target.ends_at,
    )


def _superseded(target: Target) -> Target:
    fields = {name: getattr(target, name) for name in Target.__dataclass_fields__}
    return Target(**(fields | {"status": GrantStatus.superseded}))


async def _recorded(tx: Transaction, *, tenant_id: UUID, sources: Iterable[UUID]) -> list[Grant]:
    rows = await tx.fetch(_OF_SOURCES, tenant_id, sorted(sources))
    return [
        Grant(
            row["id"],
            Target(
                source_kind=row["source_kind"],
                source_id=row["source_id"],
                price_id=row["price_id"],
                position=row["position"],
                kind=row["kind"],
                customer_id=row["customer_id"],
                quantity=row["quantity"],
                spec=msgspec.json.decode(row["spec"]),
                status=GrantStatus(row["status"]),
                taken_minor=row["taken_minor"],
                paid_minor=row["paid_minor"],
                starts_at=row["starts_at"],
                ends_at=row["ends_at"],
                event_id=row["event_id"],
            ),
        )
        for row in rows
    ]


async def _open(tx: Transaction, *, tenant_id: UUID, grants: Sequence[Grant]) -> None:
    targets = [grant.target for grant in grants]
    await tx.execute(
        _OPEN,
        tenant_id,
        [grant.id for grant in grants],
        [t.source_kind for t in targets],
        [t.source_id for t in targets],
        [t.price_id for t in targets],
        [t.position for t in targets],
        [t.kind for t in targets],
        [t.customer_id for t in targets],
        [t.quantity for t in targets],
        [msgspec.json.encode(t.spec).decode() for t in targets],
        [t.status.value for t in targets],
        [t.taken_minor for t in targets],
        [t.paid_minor for t in targets],
        [t.starts_at for t in targets],
        [t.ends_at for t in targets],
        [t.event_id for t in targets],
    )


async def _alter(tx: Transaction, *, tenant_id: UUID, grants: Sequence[Grant]) -> None:
    targets = [grant.target for grant in grants]
    await tx.execute(
        _ALTER,
        tenant_id,
        [grant.id for grant in grants],
        [t.customer_id for t in targets],
        [t.quantity for t in targets],
        [t.status.value for t in targets],
        [t.taken_minor for t in targets],
        [t.paid_minor for t in targets],
        [t.starts_at for t in targets],
        [t.ends_at for t in targets],
    )
