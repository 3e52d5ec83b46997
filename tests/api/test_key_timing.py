"""Nobody learns from the clock whether a tenant or a key exists: whatever is wrong with a key costs the same.

The first test counts what is done, which is exact; the second one measures, with few tries here. With many:
BURSAR_TIMING_TRIES=100000 pytest -n0 -s tests/api/test_key_timing.py
"""

import asyncio
import os
import random
import time
from contextlib import asynccontextmanager
from itertools import chain
from statistics import median

import pytest

from api.conftest import caller_of, running
from bursar.kernel import ids
from bursar.kernel.db import Database
from bursar.kernel.errors import Unauthenticated
from stage import set_stage

pytestmark = pytest.mark.anyio

TRIES = int(os.environ.get("BURSAR_TIMING_TRIES", "2400"))
APART_MAX = 0.001 if TRIES >= 100_000 else 0.3
"""How far the median of a kind may be from that of all, as a share of it: a missing look-up is far more, a busy machine less."""


@pytest.fixture
async def kinds(db, database_url):
    """The application, and a bad key of each kind."""
    async with running(database_url) as (app, http):
        stage = await set_stage(db, database_url)
        good = (await caller_of(stage, http)).key
        revoked = (await caller_of(stage, http)).key
        async with db.tenant(stage.tenant_id) as tx:
            await tx.execute(
                "update api_key set revoked_at = now() where tenant_id = $1 and id = $2",
                stage.tenant_id,
                ids.decode(revoked[30:56]),
            )
        tenant, key, secret, nobody = good[4:30], good[30:56], good[57:], ids.encode(ids.new())
        yield (
            app,
            {
                "unknown tenant": f"bsk_{nobody}{key}_{secret}",
                "unknown key": f"bsk_{tenant}{nobody}_{secret}",
                "wrong secret": f"bsk_{tenant}{key}_{'A' * 43}",
                "nearly right secret": good[:-2] + ("AA" if good[-2:] != "AA" else "BB"),
                "no id at all": f"bsk_{'z' * 52}_{secret}",
                "revoked": revoked,
            },
        )


async def refuse(app, key: str) -> None:
    with pytest.raises(Unauthenticated):
        await app.api.state.keys.principal(app.resources, key, address="203.0.113.9")


async def test_every_bad_key_asks_the_same_of_the_database(kinds, monkeypatch):
    app, bad = kinds
    asked: list[str] = []
    opened = Database.tenant

    class Told:
        def __init__(self, tx):
            self._tx = tx

        async def fetchval(self, statement, *values):
            asked.append(statement)
            return await self._tx.fetchval(statement, *values)

        async def fetchrow(self, statement, *values):
            asked.append(statement)
            return await self._tx.fetchrow(statement, *values)

    @asynccontextmanager
    async def told(self, tenant_id):
        asked.append("transaction")
        async with opened(self, tenant_id) as tx:
            yield Told(tx)

    monkeypatch.setattr(Database, "tenant", told)
    each = {}
    for kind, key in bad.items():
        asked.clear()
        await refuse(app, key)
        each[kind] = list(asked)

    assert all(asked == each["wrong secret"] for asked in each.values()), each
    assert len(each["wrong secret"]) == 2


async def test_every_bad_key_takes_the_same_time(kinds):
    app, bad = kinds
    keys, resources = app.api.state.keys, app.resources
    taken: dict[str, list[int]] = {kind: [] for kind in bad}
    order = list(bad.items())
    for _, key in order * 20:
        await refuse(app, key)

    async def guess(kind: str, key: str) -> None:
        began = time.perf_counter_ns()
        try:
            await keys.principal(resources, key, address="203.0.113.9")
        except Unauthenticated:
            taken[kind].append(time.perf_counter_ns() - began)

    for _ in range(TRIES // len(order)):
        random.shuffle(order)
        await asyncio.gather(*(guess(kind, key) for kind, key in order))

    medians = {kind: median(each) / 1000 for kind, each in taken.items()}
    of_all = median(chain(*taken.values())) / 1000
    print({kind: f"{value:.1f} µs" for kind, value in medians.items()}, f"all: {of_all:.1f} µs")  # noqa: T201
    assert all(abs(value - of_all) <= of_all * APART_MAX for value in medians.values()), medians
