"""Seal the audit trail: chain what was written, in an order that no writer has to wait for.

Records are written as everything else is; a chore links those whose transactions have ended, a few thousand at a time,
into a seal: the digest of each record's line, and a hash over those and the seal before. A line is the record as JSON,
exactly as PostgreSQL writes `jsonb`, so that an export can be checked with nothing but SHA-256.

Source: decision 0013; the idea of a tree head that proves what came before, RFC 9162 "Certificate Transparency".
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import structlog

from bursar.kernel.db import Database, Transaction, become_engine

RECORDS_MAX: Final = 5_000
"""Records of one seal, unless one transaction wrote more."""
NOTHING: Final = bytes(32)
"""What the first seal follows."""

LINE: Final = """jsonb_build_object('id', a.id, 'at', to_char(a.at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
  'actor', a.actor, 'action', a.action, 'event', a.event_id, 'subject', a.subject, 'changes', a.changes,
  'address', a.address, 'user_agent', a.user_agent, 'correlation_id', a.correlation_id)::text"""
"""A record's line."""

_HEAD = "select sequence, ends, hash from audit_seal where tenant_id = $1 order by sequence desc limit 1"

_HORIZON = """select audit_position(pg_snapshot_xmin(pg_current_snapshot())) as horizon,
  audit_position(pg_snapshot_xmax(pg_current_snapshot())) as newest"""

_POSITIONS = """select a.written_in from audit_record a where a.tenant_id = $1 and a.written_in >= $2 and a.written_in < $3
order by a.written_in limit $4"""

_DIGESTS = f"""select a.id, sha256(convert_to({LINE}, 'UTF8')) as digest from audit_record a
where a.tenant_id = $1 and a.written_in >= $2 and a.written_in < $3
order by a.written_in, a.id"""

_SEAL = """insert into audit_seal (tenant_id, sequence, begins, ends, records, digests, previous, hash, sealed_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (tenant_id, sequence) do nothing returning sequence"""

_WAITING = """from audit_record a where a.tenant_id = t.tenant_id and a.written_in >= coalesce(
    (select s.ends from audit_seal s where s.tenant_id = t.tenant_id order by s.sequence desc limit 1), 0)"""

_UNSEALED = f"""select t.tenant_id from tenant t
where t.tenant_id > $1 and exists (select {_WAITING})
order by t.tenant_id limit $2"""

OLDEST_UNSEALED: Final = f"""
select min(first.at) as at
from tenant t
cross join lateral (select a.at {_WAITING} order by a.written_in limit 1) as first
"""
"""Since when the oldest record of any tenant has waited for its seal; null where none waits. As the engine."""

_NUMBERED = """select audit_position(pg_snapshot_xmax(pg_current_snapshot())) as newest, audit_position('0'::xid8) as added,
  coalesce(max(greatest(
    (select s.ends from audit_seal s where s.tenant_id = t.tenant_id order by s.sequence desc limit 1),
    (select a.written_in + 1 from audit_record a where a.tenant_id = t.tenant_id order by a.written_in desc limit 1))), 0)
    as reached
from tenant t"""
_PLACE = (
    """select audit_position(pg_snapshot_xmax(pg_current_snapshot())) as newest, audit_position('0'::xid8) as added"""
)
_IS_ENGINE = "select pg_has_role(current_user, 'bursar_engine', 'member')"
_ADD = """create or replace function audit_position(transaction xid8) returns bigint language sql immutable parallel safe
  as 'select $1::text::bigint + {}'"""

_TENANTS_MAX = 500
_NO_TENANT = UUID(int=0)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Seal:
    """A link of the chain. begins, ends: places in the order of writing, half-open. hash, previous: 32 bytes."""

    sequence: int
    begins: int
    ends: int
    records: tuple[UUID, ...]
    digests: bytes
    previous: bytes
    sealed_at: datetime

    @property
    def hash(self) -> bytes:
        """SHA-256 over six lines of text and the digests."""
        head = (self.previous.hex(), self.sequence, self.begins, self.ends, len(self.records), told(self.sealed_at))
        return hashlib.sha256("".join(f"{part}\n" for part in head).encode() + self.digests).digest()


async def seal_all(db: Database, *, now: datetime) -> int:
    """Seal what can be sealed of every tenant; return how many records were. Any number of workers may do it."""
    sealed, after = 0, _NO_TENANT
    while True:
        async with db.engine() as tx:
            tenants = [row["tenant_id"] for row in await tx.fetch(_UNSEALED, after, _TENANTS_MAX)]
        for tenant_id in tenants:
            sealed += await seal_tenant(db, tenant_id=tenant_id, now=now)
        if len(tenants) < _TENANTS_MAX:
            return sealed
        after = tenants[-1]


async def seal_tenant(db: Database, *, tenant_id: UUID, now: datetime) -> int:
    """Seal all of one tenant's records whose transactions have ended; return how many were."""
    sealed, is_more = 0, True
    while is_more:
        async with db.tenant(tenant_id) as tx:
            count, is_more = await _seal_next(tx, tenant_id=tenant_id, now=now)
        sealed += count
    return sealed


def told(instant: datetime) -> str:
    """Return an instant as lines and seals tell it."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def _seal_next(tx: Transaction, *, tenant_id: UUID, now: datetime) -> tuple[int, bool]:
    """Add one seal if there is something for it; return its records, and whether there is more to seal.

    Nothing where another worker was faster.
    """
    head = await tx.fetchrow(_HEAD, tenant_id)
    sequence, begins, previous = (head["sequence"] + 1, head["ends"], head["hash"]) if head else (1, 0, NOTHING)
    horizon = await _horizon(tx, begins=begins)
    ends = await _end(tx, tenant_id=tenant_id, begins=begins, horizon=horizon)
    if ends is None:
        return 0, False
    rows = await tx.fetch(_DIGESTS, tenant_id, begins, ends)
    seal = Seal(
        sequence=sequence,
        begins=begins,
        ends=ends,
        records=tuple(row["id"] for row in rows),
        digests=b"".join(row["digest"] for row in rows),
        previous=previous,
        sealed_at=now,
    )
    is_ours = await tx.fetchval(_SEAL, tenant_id, *_row(seal)) is not None
    return (len(rows), ends < horizon) if is_ours else (0, False)


async def _horizon(tx: Transaction, *, begins: int) -> int:
    """Return the place before which everything is final; no transaction that is older may still commit."""
    place = await tx.fetchrow(_HORIZON)
    if place["newest"] < begins:
        _log.error("audit_trail_not_sealed", reason="transactions are numbered anew: run bursar migrate")
    horizon: int = place["horizon"]
    return horizon


async def _end(tx: Transaction, *, tenant_id: UUID, begins: int, horizon: int) -> int | None:
    """Return up to where the next seal reaches. None when there is nothing to seal."""
    rows = await tx.fetch(_POSITIONS, tenant_id, begins, horizon, RECORDS_MAX + 1)
    positions: Sequence[int] = [row["written_in"] for row in rows]
    if not positions:
        return None
    if len(positions) <= RECORDS_MAX:
        return horizon
    # A seal takes all or nothing of a transaction; the last one seen may not have been seen whole.
    return positions[-1] if positions[-1] > positions[0] else positions[-1] + 1


def _row(seal: Seal) -> tuple[object, ...]:
    return (
        seal.sequence,
        seal.begins,
        seal.ends,
        list(seal.records),
        seal.digests,
        seal.previous,
        seal.hash,
        seal.sealed_at,
    )


async def continue_numbering(connection: Transaction) -> int:
    """Let the order of writing go on after the last seal where transactions are numbered anew; return what is added.

    A restore from a dump into another server begins at small numbers again. connection: of the role that owns the
    tables. Called by every migration, so before anything is written there.
    """
    async with connection.transaction():
        if await connection.fetchval(_IS_ENGINE):
            # An owner without the superuser's rights sees no row of these tables, as they force their policies on him.
            await become_engine(connection)
        place = await connection.fetchrow(_NUMBERED)
    if place["newest"] >= place["reached"]:
        return 0
    added: int = place["reached"] - place["newest"] + place["added"]
    await connection.execute(_ADD.format(added))
    return added


async def continue_from(connection: Transaction, reached: int) -> int:
    """Let the order of writing here go on after a trail that comes from elsewhere; return what is added.

    connection: outside any transaction; of the role that owns the tables, where anything has to be added. Writers wait
    for the moment that it takes: a record that was numbered in the old way and is not committed yet would come before
    the new horizon.
    """
    if (await connection.fetchrow(_PLACE))["newest"] >= reached:
        return 0
    async with connection.transaction():
        await connection.execute("lock table audit_record in share row exclusive mode")
        place = await connection.fetchrow(_PLACE)
        added: int = max(reached - place["newest"], 0) + place["added"]
        await connection.execute(_ADD.format(added))
    return added
