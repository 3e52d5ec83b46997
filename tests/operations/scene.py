"""The real thing in small: a tenant per telling, events applied on PostgreSQL in a given order and given batches."""

import json
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from random import Random

import asyncpg
from histories import History

from bursar.bootstrap import registry
from bursar.kernel import ids
from bursar.money.applying import Pending, apply_batch, translate
from bursar.money.applying.batch import Account
from bursar.money.intake import queue
from bursar.money.intake.filing import Filing, file_events
from bursar.operations.fingerprint import lines_of
from bursar.operations.invariants import INVARIANTS, Invariant
from bursar.operations.verify import Verified, verify
from stage import Stage, add_price, set_stage

REGISTRY = registry()
STANDING = [kind for kind in REGISTRY.kinds if REGISTRY[kind].is_standing]
PLUS = [{"kind": "credits", "amount": 20, "pool": "classes"}, {"kind": "feature", "feature": "vip"}]

_REQUEUE = """
insert into gateway_event_queue (tenant_id, event_id, gateway_account_id, bucket)
select $1, e, $2, 0 from unnest($3::uuid[]) as e on conflict do nothing
"""


def batches(order: Sequence[int], random: Random) -> Iterator[Sequence[int]]:
    """Cut an order into batches of random sizes, no event twice in one."""
    at = 0
    while at < len(order):
        size = random.choice((1, 1, 2, 3, len(order)))
        yield list(dict.fromkeys(order[at : at + size]))
        at += size


async def play(db, url: str, history: History, parts: Sequence[Sequence[int]]) -> Stage:
    """Open a tenant, store a history, and apply it: each part in one transaction, as a worker does. Parts hold indexes."""
    stage = await set_stage(db, url, gateway=history.gateway)
    await add_price(stage, "plus", 3000, PLUS, interval="month", refs=["price_plus"])
    filings = [
        Filing(
            ids.new(),
            stage.tenant_id,
            stage.account_id,
            f"evt_{i}",
            told.type,
            "gateway",
            told.at,
            {},
            json.dumps(told.payload).encode(),
            None,
        )
        for i, told in enumerate(history.events)
    ]
    async with db.engine() as tx:
        await file_events(tx, filings)
    stored = [Pending(f.id, f.type, f.origin, f.occurred_at, f.body) for f in filings]
    lane = queue.Lane(0, stage.tenant_id, stage.account_id, history.gateway)
    for part in parts:
        events = [translate(stored[index], gateway_name=history.gateway) for index in part]
        async with db.tenant(stage.tenant_id) as tx:
            await tx.execute(_REQUEUE, stage.tenant_id, stage.account_id, [e.event.id for e in events])
            await apply_batch(
                tx,
                account=Account(stage.tenant_id, stage.account_id, history.gateway),
                events=events,
                registry=REGISTRY,
                grace=timedelta(days=7),
                now=datetime.now(UTC),
            )
            await queue.finish(
                tx, lane, outcomes={e.event.id: "ignored" if e.translation.is_ignored else "applied" for e in events}
            )
    return stage


async def play_calmly(db, url: str, history: History) -> Stage:
    return await play(db, url, history, [[index] for index in range(len(history.events))])


@asynccontextmanager
async def connected(url: str):
    # The statements of a fingerprint and of the invariants are more than the hundred that are kept otherwise.
    connection = await asyncpg.connect(url, statement_cache_size=1000)
    try:
        yield connection
    finally:
        await connection.close()


async def checked(connection, stage: Stage, invariants: Sequence[Invariant] = INVARIANTS) -> Verified:
    return await verify(connection, stage.tenant_id, standing_kinds=STANDING, invariants=invariants)


def broken(verified: Verified) -> dict[str, list[dict]]:
    """Return what each broken invariant found."""
    return {finding.name: finding.offending for finding in verified.invariants if not finding.ok}


async def difference(connection, one: Stage, other: Stage, tables: Sequence[str]) -> dict[str, list[set[str]]]:
    """Return the lines of some tables that only one of two tenants has."""
    told = {}
    for table in tables:
        mine, theirs = (
            set(await lines_of(connection, one.tenant_id, table)),
            set(await lines_of(connection, other.tenant_id, table)),
        )
        told[table] = [mine - theirs, theirs - mine]
    return told
