"""Look: at every tenant with changes, and at the others in turn."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog

from bursar.kernel import ids
from bursar.kernel.db import Database, Transaction
from bursar.operations.invariants import INVARIANTS, Invariant, Scope
from bursar.operations.sweep.changes import Changes, changes_between
from bursar.operations.verify import OFFENDING_MAX, Finding, found

LOCK_CLASS = 72_002
EVERY = timedelta(seconds=50)
"""A tenant that was looked at more lately than this is left alone: another worker was faster."""

OVERLAP = timedelta(seconds=60)
"""How long after its change something is looked at again: longer than any transaction may last before it commits."""

CHANGES_MAX = 2000
"""How much of one kind is looked at in one transaction."""

IN_TURN = 100
"""How many tenants without known changes are looked at besides, the longest waiting first."""

BUDGET_S = 20.0
"""How long one sweep goes on; what is left over is the next one's, and `checked_through` says so."""

log = structlog.get_logger(__name__)

# Two probes of indexes for each tenant: did anything arrive lately, or was anything told?
_DUE = """
select t.tenant_id, is_changed or is_broken as is_urgent
from tenant t
left join invariant_sweep s on s.tenant_id = t.tenant_id
cross join lateral (
  select exists (select from gateway_event e where e.tenant_id = t.tenant_id and e.id > $1)
      -- Not `exists`, which may read the whole table once instead.
      or coalesce((select true from outbox o where o.tenant_id = t.tenant_id and o.id > $1 limit 1), false) as is_changed,
    coalesce(s.failures <> '[]', false) as is_broken
) as known
where s.checked_at is null or s.checked_at < $2
order by is_changed or is_broken desc, s.checked_at nulls first
limit (select count(*) from tenant)
"""

_LAST = (
    "select checked_through, failures::text as failures from invariant_sweep where tenant_id = $1 and checked_at >= $2"
)
_KNOWN = "select checked_at, checked_through, failures::text as failures from invariant_sweep where tenant_id = $1"
_LOCK = "select pg_try_advisory_xact_lock($1, hashtext($2))"
_CLOCK = "select clock_timestamp()"

_RECORD = """
insert into invariant_sweep (tenant_id, checked_at, checked_through, checked_rows, failures)
values ($1, $2, least($3, clock_timestamp() - $4::interval), $5, $6::jsonb)
on conflict (tenant_id) do update
set checked_at = excluded.checked_at, checked_through = excluded.checked_through, checked_rows = excluded.checked_rows,
    failures = excluded.failures
"""

_MARKS = """
select tenant_id, checked_at, jsonb_array_length(failures) as broken from invariant_sweep where failures <> '[]' order by tenant_id limit $1
"""

_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep did. checked_rows: ids looked at. broken: broken invariants. is_complete: the budget was enough."""

    tenants: int = 0
    checked_rows: int = 0
    broken: int = 0
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class Mark:
    """A tenant with broken invariants, and how many."""

    tenant_id: UUID
    checked_at: datetime
    broken: int


@dataclass(frozen=True, slots=True)
class _Look:
    """One look at one tenant. through: what changed up to there was looked at. is_behind: there is more."""

    checked_rows: int
    failures: list[dict[str, Any]]
    through: datetime
    is_behind: bool


@dataclass(frozen=True, slots=True)
class _Before:
    """What the last look left behind. again: what was found broken then."""

    through: datetime = _BEGINNING
    again: dict[Scope, list[UUID]] = field(default_factory=dict)


async def sweep(db: Database, *, standing_kinds: Sequence[str], now: datetime) -> Swept:
    """Look at what changed since the last look, tenant by tenant, and record what was seen.

    standing_kinds: the kinds of grant that last as long as a subscription. now: when this look is said to be.
    Any number of workers may run it at once. Raises DatabaseUnavailable.
    """
    deadline = time.monotonic() + BUDGET_S
    async with db.engine() as tx:
        rows = await tx.fetch(_DUE, ids.least_at(now - OVERLAP - EVERY * 2), now - EVERY)
    urgent = [row["tenant_id"] for row in rows if row["is_urgent"]]
    others = [row["tenant_id"] for row in rows if not row["is_urgent"]]
    done = Swept()
    for tenant_id in [*urgent, *others[:IN_TURN]]:
        async with aclosing(_looks(db, tenant_id, standing_kinds=standing_kinds, now=now)) as looks:
            async for look in looks:
                done = Swept(
                    done.tenants + (not look.is_behind),
                    done.checked_rows + look.checked_rows,
                    done.broken + len(look.failures),
                )
                if time.monotonic() > deadline:
                    return replace(done, is_complete=False)
    return done


async def red_marks(db: Database, *, limit: int = 100) -> list[Mark]:
    """Return the tenants of the installation with broken invariants."""
    async with db.engine() as tx:
        rows = await tx.fetch(_MARKS, limit)
    return [Mark(row["tenant_id"], row["checked_at"], row["broken"]) for row in rows]


async def _looks(
    db: Database, tenant_id: UUID, *, standing_kinds: Sequence[str], now: datetime
) -> AsyncGenerator[_Look, None]:
    """Look at span after span of one tenant, each in a transaction of its own, until nothing is left."""
    cursor: datetime | None = None
    limit = CHANGES_MAX
    is_behind = True
    while is_behind:
        async with db.tenant(tenant_id) as tx:
            if not await tx.fetchval(_LOCK, LOCK_CLASS, str(tenant_id)):
                return
            before = await _before(tx, tenant_id)
            since = cursor or before.through
            look = await _look(
                tx, tenant_id, since=since, again=before.again, limit=limit, standing_kinds=standing_kinds
            )
            kept = msgspec.json.encode(look.failures, enc_hook=str).decode()
            await tx.execute(_RECORD, tenant_id, now, look.through, OVERLAP, look.checked_rows, kept)
        _log(tenant_id, look.failures)
        # A span without an end: more happened in one millisecond than is looked at in one go.
        limit = CHANGES_MAX if look.through > since else limit * 4
        cursor, is_behind = look.through, look.is_behind
        yield look


async def _look(
    tx: Transaction,
    tenant_id: UUID,
    *,
    since: datetime,
    again: dict[Scope, list[UUID]],
    limit: int,
    standing_kinds: Sequence[str],
) -> _Look:
    clock = await tx.fetchval(_CLOCK)
    changes = await changes_between(tx, tenant_id=tenant_id, since=since, until=clock, limit=limit, again=again)
    failures = await _failures(tx, tenant_id, changes, standing_kinds=standing_kinds)
    return _Look(changes.count, failures, changes.through, changes.through < clock)


def _log(tenant_id: UUID, failures: Sequence[dict[str, Any]]) -> None:
    for failure in failures:
        log.error(
            "invariant.broken",
            tenant=ids.show(ids.TENANT, tenant_id),
            invariant=failure["name"],
            offending=failure["offending"],
        )


async def _before(tx: Transaction, tenant_id: UUID) -> _Before:
    row = await tx.fetchrow(_KNOWN, tenant_id)
    if row is None:
        return _Before()
    again: dict[Scope, list[UUID]] = {}
    for failure in msgspec.json.decode(row["failures"]):
        if failure.get("scope") not in tuple(Scope):
            continue  # found by another version of us
        scope = Scope(failure["scope"])
        again[scope] = [*again.get(scope, ()), *(UUID(text) for text in failure["again"])]
    return _Before(row["checked_through"], again)


async def _failures(
    tx: Transaction, tenant_id: UUID, changes: Changes, *, standing_kinds: Sequence[str]
) -> list[dict[str, Any]]:
    """Return what is broken, as it is kept: the finding, and which ids to look at again."""
    failures = []
    for invariant in INVARIANTS:
        looking = _Looking(tx, tenant_id, invariant, standing_kinds)
        changed = changes.of(invariant.scope)
        if invariant.scope is Scope.never or not (changed or invariant.scope is Scope.whole):
            continue
        finding = found(invariant, await looking.rows(changed), checked=len(changed))
        if not finding.ok:
            failures.append(await _kept(looking, finding, changed))
    return failures


async def _kept(looking: "_Looking", finding: Finding, changed: list[UUID]) -> dict[str, Any]:
    guilty = await looking.guilty(changed) if looking.invariant.scope is not Scope.whole else []
    return asdict(finding) | {"scope": looking.invariant.scope.value, "again": [str(one) for one in guilty]}


@dataclass(frozen=True, slots=True)
class _Looking:
    """One invariant, asked about some ids."""

    tx: Transaction
    tenant_id: UUID
    invariant: Invariant
    standing_kinds: Sequence[str]

    async def rows(self, changed: list[UUID]) -> list[Any]:
        parameters: list[object] = [self.tenant_id]
        if self.invariant.takes_standing:
            parameters.append(list(self.standing_kinds))
        if self.invariant.scope is not Scope.whole:
            parameters.append(changed)
        statement = self.invariant.statement(limit=OFFENDING_MAX, scoped=True)
        return list(await self.tx.fetch(statement, *parameters))

    async def guilty(self, changed: list[UUID]) -> list[UUID]:
        """Return which of these ids are broken, by halving; at most as many as are shown."""
        guilty: list[UUID] = []
        waiting = [changed]
        while waiting and len(guilty) < OFFENDING_MAX:
            part = waiting.pop()
            if not part or not await self.rows(part):
                continue
            if len(part) == 1:
                guilty += part
            else:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
        return guilty
