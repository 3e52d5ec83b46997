"""Raw bodies lie in months, made ahead; what falls outside them is kept all the same."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from bursar import health
from bursar.kernel.jobs import Kinds, Resources
from bursar.kernel.settings import Settings
from bursar.money.intake import forgetting as months
from bursar.money.intake.partitions import ensure_partitions
from bursar.money.intake.queries import event_body
from bursar.money.intake.replays import replay_events
from bursar.operations.retention import preview
from bursar.operations.retention_runs import RetentionBlocked, Run, apply, complaint, last_run
from stage import charge, event, session, set_stage

pytestmark = pytest.mark.anyio


async def test_months_are_made_ahead_and_once(admin_url):
    connection = await asyncpg.connect(admin_url)

    made = await ensure_partitions(connection, now=datetime(2031, 12, 5, tzinfo=UTC))
    again = await ensure_partitions(connection, now=datetime(2031, 12, 5, tzinfo=UTC))

    assert (made[0], made[-1], len(made)) == ("gateway_event_body_2031_12", "gateway_event_body_2033_02", 15)
    assert again == []
    await connection.close()


async def test_nobody_reads_a_partition_past_its_parent(db, database_url):
    stage = await set_stage(db, database_url)
    await stage.deliver(event("checkout.session.completed", session()))
    name = f"gateway_event_body_{datetime.now(UTC):%Y_%m}"

    assert await stage.value("select count(*) from gateway_event_body") == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await stage.rows(f"select count(*) from {name}")


async def test_a_month_without_a_partition_loses_nothing(db, database_url, admin_url):
    stage = await set_stage(db, database_url)
    connection = await asyncpg.connect(admin_url)
    await connection.execute(f"drop table gateway_event_body_{datetime.now(UTC):%Y_%m}")

    await stage.tell(event("checkout.session.completed", session()))
    made = await ensure_partitions(connection)

    assert await stage.value("select count(*) from credit_lot") == 1
    assert made == []
    assert await connection.fetchval("select count(*) from gateway_event_body_default") == 1
    await connection.close()


NOW = datetime(2026, 11, 21, tzinfo=UTC)


async def _move(connection, when: str, gateway_event_id: str) -> None:
    """Let an event have been received then."""
    await connection.execute("set session_replication_role = replica")
    await connection.execute(
        """with moved as (update gateway_event set received_at = $1::text::timestamptz where gateway_event_id = $2 returning tenant_id, id)
        update gateway_event_body b set received_at = $1::text::timestamptz from moved m where b.tenant_id = m.tenant_id and b.event_id = m.id""",
        when,
        gateway_event_id,
    )


async def test_months_whose_time_is_over_go_whole_and_an_event_that_is_not_settled_keeps_its_month(
    db, database_url, admin_url
):
    stage = await set_stage(db, database_url)
    owner = await asyncpg.connect(admin_url)
    await ensure_partitions(owner, now=datetime(2024, 1, 1, tzinfo=UTC))
    paid, broken = (
        event("checkout.session.completed", session()),
        event("charge.succeeded", {"id": "ch_bad", "object": "charge"}),
    )
    await stage.tell(paid)
    await stage.deliver(broken)
    await stage.apply(retries_max=1)
    await _move(owner, "2024-01-31 23:59Z", paid["id"])
    await _move(owner, "2024-02-01 00:00Z", broken["id"])
    settings = Settings(body_months=13)
    event_id = await stage.value("select id from gateway_event where gateway_event_id = $1", paid["id"])
    books = await stage.rows("select account, amount_minor from ledger_entry order by 1, 2")

    [said] = [one for one in await preview(db, settings, at=NOW) if one.name.startswith("raw bodies")]
    kept_for_ever = await apply(admin_url, kept_months=0, now=NOW)
    done = await apply(admin_url, kept_months=13, now=NOW)
    await stage.tell(paid)

    assert (said.kept, said.waiting) == ("13 months", ("gateway_event_body_2024_02",))
    assert said.months == (
        "gateway_event_body_2024_01",
        *(f"gateway_event_body_2024_{n:02}" for n in range(3, 13)),
        *(f"gateway_event_body_2025_{n:02}" for n in range(1, 4)),
    )
    assert kept_for_ever.dropped == []
    assert (tuple(done.dropped), done.failure) == (said.months, None)
    assert done.bytes == said.bytes > 0
    async with db.engine() as tx:
        assert await last_run(tx) == done
    async with db.tenant(stage.tenant_id) as tx:
        assert await event_body(tx, tenant_id=stage.tenant_id, event_id=event_id) is None
        replayed = await replay_events(tx, tenant_id=stage.tenant_id, event_ids=[event_id], actor="tests", reason="x")
    assert replayed == 0
    assert await stage.value("select count(*) from gateway_event where gateway_event_id = $1", paid["id"]) == 1
    assert await stage.rows("select account, amount_minor from ledger_entry order by 1, 2") == books
    assert await stage.value("select count(*) from gateway_event_dead") == 1
    await owner.close()


async def test_dropping_a_month_waits_for_nobody_longer_than_intake_may(db, database_url, admin_url, monkeypatch):
    stage = await set_stage(db, database_url)
    owner, reader = await asyncpg.connect(admin_url), await asyncpg.connect(admin_url)
    await ensure_partitions(owner, now=datetime(2024, 1, 1, tzinfo=UTC))
    monkeypatch.setattr(months, "ATTEMPTS_MAX", 2)
    monkeypatch.setattr(months, "_BETWEEN_S", 0.01)
    looking = reader.transaction()
    await looking.start()
    await reader.fetch("select count(*) from gateway_event_body")

    forgetting = asyncio.create_task(apply(admin_url, kept_months=13, now=NOW))
    await stage.deliver(event("charge.succeeded", charge("9")))
    with pytest.raises(RetentionBlocked):
        await forgetting
    async with db.engine() as tx:
        blocked = await last_run(tx)
    unwell = await _health(db, database_url)
    await looking.rollback()
    done = await apply(admin_url, kept_months=13, now=NOW)

    assert blocked is not None
    assert blocked.failure == "the table of raw bodies was in use all the time"
    assert blocked.dropped == []
    assert unwell.status == "degraded"
    assert unwell.detail == f"raw bodies could not be cleaned up: {blocked.failure}"
    assert "bursar retention --apply" in unwell.advice
    assert len(done.dropped) == 15
    assert (await _health(db, database_url)).status == "healthy"
    assert await stage.value("select count(*) from gateway_event_queue") == 1
    for connection in (owner, reader):
        await connection.close()


async def test_whatever_keeps_the_clean_up_from_its_end_is_written_down_and_seen_in_health(db, database_url, admin_url):
    owner = await asyncpg.connect(admin_url)
    await owner.execute("drop table gateway_event_body cascade")

    with pytest.raises(asyncpg.UndefinedTableError):
        await apply(admin_url, kept_months=13, now=NOW)

    unwell = await _health(db, database_url)
    assert (unwell.status, unwell.detail) == (
        "degraded",
        'raw bodies could not be cleaned up: the database refused: relation "gateway_event_body_default" does not exist',
    )
    await owner.close()


@pytest.mark.parametrize(
    ("hours", "is_ended", "said"),
    [
        (70, True, ""),
        (73, True, "raw bodies were last cleaned up 3 days ago"),
        (0.9, False, ""),
        (2, False, "the last clean-up of raw bodies did not come to its end"),
    ],
)
def test_a_clean_up_that_is_not_done_any_more_is_complained_of(hours, is_ended, said):
    began_at = NOW - timedelta(hours=hours)

    assert complaint(Run(began_at, began_at if is_ended else None, [], [], 0, 0, None), now=NOW) == said


async def _health(db, database_url):
    held = Resources(db, Settings(database_url=database_url))
    return next(part for part in await health.current_parts(held, Kinds(())) if part.name == "retention")
