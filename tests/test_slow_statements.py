"""What takes long is noted by its text alone, explained once, shown to operators, and forgotten."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from bursar.kernel import ids, slow
from bursar.kernel.db import Database
from bursar.kernel.slow import SlowStatements, plan_of, slow_statements

pytestmark = pytest.mark.anyio

SECRET = "ann@example.org"


@pytest.fixture
async def watched(database_url):
    """A pool on which everything from a tenth of a second on is slow, and is explained."""
    noted = SlowStatements(process="api", over_ms=100, plan_over_ms=100)
    db = await Database.open(database_url, size=2, watch=noted.watch)
    yield db, noted
    await db.close()


async def test_a_slow_statement_is_noted_without_its_values_and_explained(watched):
    db, noted = watched
    slowly = "select id, pg_sleep(0.12) from (values ($1::text)) as v (id) where not exists (select from payment where currency = v.id)"
    async with db.tenant(ids.new()) as tx:
        for _ in range(2):
            await tx.fetch(slowly, SECRET)
        await tx.fetch("select 1")

    await noted.flush(db)
    await noted.flush(db)

    [found] = [one for one in await slow_statements(db) if "pg_sleep" in one.statement]
    assert (found.statement, found.calls, found.process) == (slowly, 2, "api")
    assert 100 <= found.longest_ms <= found.total_ms < 20_000
    assert "payment" in found.plan
    assert "Index" in found.plan or "Seq Scan" in found.plan
    assert not any(SECRET in f"{one.statement}{one.plan}" for one in await slow_statements(db))
    assert noted.total >= 2


async def test_what_only_the_engine_may_read_has_a_plan_too_and_what_is_no_query_has_none(watched):
    db, _ = watched

    assert "operator" in await plan_of(db, "select email from operator where id = $1")
    assert (await plan_of(db, "begin; set local role bursar_app")).startswith("no plan")
    assert (await plan_of(db, "select nothing from nowhere")).startswith("no plan")


async def test_ids_in_a_text_are_left_out_and_a_flood_of_texts_is_bounded(db):
    noted = SlowStatements(process="worker", over_ms=1, plan_over_ms=10_000_000)
    for _ in range(3):
        noted.note(SimpleNamespace(query=f"begin; set local bursar.tenant = '{ids.new()}'", elapsed=1.0))
    for n in range(2 * slow.APART_MAX):
        noted.note(SimpleNamespace(query=f"select {n}", elapsed=0.5))
    noted.note(SimpleNamespace(query="select 'quick'", elapsed=0.0001))

    await noted.flush(db)

    found = await slow_statements(db)
    assert found[0].statement == "begin; set local bursar.tenant = '…'"
    assert (found[0].calls, found[0].total_ms, found[0].plan) == (3, 3000, None)
    async with db.engine() as tx:
        assert await tx.fetchval("select count(*) from slow_statement") == slow.APART_MAX
    assert noted.total == 3 + 2 * slow.APART_MAX


async def test_old_days_are_forgotten(db):
    noted = SlowStatements(process="worker", over_ms=1, plan_over_ms=10_000_000)
    noted.note(SimpleNamespace(query="select 1", elapsed=1.0))
    await noted.flush(db)

    await slow.forget(db, before=datetime.now(UTC))
    kept = await slow_statements(db)
    await slow.forget(db, before=datetime.now(UTC) + timedelta(days=1))

    assert len(kept) == 1
    assert await slow_statements(db) == []


async def test_a_database_that_is_away_costs_the_log_and_nothing_else(database_url):
    noted = SlowStatements(process="api", over_ms=1, plan_over_ms=1)
    db = await Database.open(database_url, size=1)
    await db.close()
    noted.note(SimpleNamespace(query="select 1", elapsed=1.0))

    await noted.flush(db)

    assert noted.total == 1
