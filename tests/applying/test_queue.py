"""The queue: failures wait alone, crashes are counted, replays change nothing."""

import asyncio
import json
from unittest.mock import AsyncMock
from uuid import UUID

import asyncpg
import pytest

from bursar.bootstrap import registry
from bursar.kernel.settings import Settings
from bursar.money.intake import queue, replay_events, replay_matching
from bursar.money.intake.replays import ReplayFilterInvalid
from bursar.worker import applier
from bursar.worker.applier import Applier
from stage import PACK, Stage, add_price, charge, event, intent, session, set_stage

pytestmark = pytest.mark.anyio

WAITS_S = "select greatest(0, extract(epoch from run_at - clock_timestamp()))::float8 from gateway_event_queue"


async def _die_inside(stage: Stage, events: list[UUID], bucket: int) -> None:
    """Leave what a worker leaves that died with these events begun, and find it as the next one does."""
    async with stage.db.engine() as tx:
        await tx.execute(
            "update worker_bucket set tenant_id = $1, events = $2, worker = 'gone' where bucket = $3",
            stage.tenant_id,
            events,
            bucket,
        )
        await queue.crashed_in(tx, bucket)


async def test_an_event_that_lacks_a_field_fails_with_its_name_and_its_neighbours_are_applied(db, database_url):
    stage = await set_stage(db, database_url)
    broken = intent("2")
    del broken["amount"], broken["amount_received"]

    await stage.tell(event("checkout.session.completed", session()), event("payment_intent.succeeded", broken))

    waiting = await stage.row("select tries, error, run_at > clock_timestamp() as is_later from gateway_event_queue")
    assert waiting == {
        "tries": 1,
        "error": "data.object.amount: expected a whole number of minor units, not negative",
        "is_later": True,
    }
    assert await stage.value("select attempt from gateway_event_attempt") == 1
    assert await stage.value("select count(*) from credit_lot") == 1


async def test_after_its_last_attempt_an_event_rests_as_dead_until_it_is_replayed(db, database_url):
    stage = await set_stage(db, database_url)
    broken = intent()
    del broken["currency"]
    await stage.deliver(event("payment_intent.succeeded", broken))

    await stage.apply(retries_max=1)
    dead = await stage.row("select event_id, reason, attempts from gateway_event_dead")
    async with db.tenant(stage.tenant_id) as tx:
        count = await replay_events(
            tx, tenant_id=stage.tenant_id, event_ids=[dead["event_id"]], actor="test", reason="mended"
        )

    assert (dead["reason"], dead["attempts"]) == ("retries_exhausted", 1)
    assert count == 1
    assert await stage.value("select count(*) from gateway_event_dead") == 0
    assert await stage.value("select tries from gateway_event_queue") == 0


async def test_an_error_that_is_no_text_is_kept_as_far_as_it_is_one(db, database_url):
    stage = await set_stage(db, database_url)
    await stage.deliver(event("payment_intent.succeeded", intent()))
    event_id = await stage.value("select event_id from gateway_event_queue")

    async with db.tenant(stage.tenant_id) as tx:
        failures = [queue.Failure(event_id, "\ud800 a\x00b " + "x" * 3000, None)]
        await queue.fail(tx, tenant_id=stage.tenant_id, failures=failures)

    kept = await stage.value("select error from gateway_event_dead")
    assert kept.rstrip("x") == "? ab "
    assert len(kept) == 1999


async def test_a_replay_of_everything_changes_nothing(db, database_url):
    stage = await set_stage(db, database_url)
    await stage.tell(event("checkout.session.completed", session()), event("payment_intent.succeeded", intent()))
    tables = ("payment", "credit_lot", "credit_movement", "ledger_entry", "outbox", "fulfilment_grant", "purchase_ref")
    before = [await stage.value(f"select count(*) from {table}") for table in tables]

    async with db.tenant(stage.tenant_id) as tx:
        count = await replay_matching(
            tx, tenant_id=stage.tenant_id, filter={"status": "applied"}, actor="test", reason="drill"
        )
    await stage.apply()

    assert count == 2
    assert [await stage.value(f"select count(*) from {table}") for table in tables] == before
    assert (
        await stage.rows("select run from gateway_event_outcome order by event_id, run") == [{"run": 0}, {"run": 1}] * 2
    )


async def test_a_replay_filter_that_names_nothing_is_refused(db, database_url):
    stage = await set_stage(db, database_url)

    async with db.tenant(stage.tenant_id) as tx:
        with pytest.raises(ReplayFilterInvalid):
            await replay_matching(tx, tenant_id=stage.tenant_id, filter={"colour": "red"}, actor="test", reason="")


async def test_an_event_inside_which_workers_die_is_isolated_and_buried(db, database_url):
    stage = await set_stage(db, database_url)
    poison, good = await stage.deliver(
        event("payment_intent.succeeded", intent()), event("charge.succeeded", charge("2"))
    )
    lane = await stage.row("select bucket from gateway_event_queue limit 1")
    for _ in range(queue.CRASHES_MAX):
        await _die_inside(stage, [poison], lane["bucket"])
    async with db.engine() as tx:
        await tx.execute("update gateway_event_queue set run_at = clock_timestamp()")

    await stage.apply()

    assert await stage.row("select event_id, reason, crashes from gateway_event_dead") == {
        "event_id": poison,
        "reason": "crashed_worker",
        "crashes": 5,
    }
    assert await stage.value("select event_id from gateway_event_outcome") == good


async def test_an_event_that_was_there_by_chance_when_workers_died_has_minutes_to_show_it(db, database_url):
    stage = await set_stage(db, database_url)
    (event_id,) = await stage.deliver(event("checkout.session.completed", session()))
    bucket = await stage.value("select bucket from gateway_event_queue")
    waits = []

    for _ in range(queue.CRASHES_MAX - 1):
        await _die_inside(stage, [event_id], bucket)
        waits.append(await stage.value(WAITS_S))
    async with db.engine() as tx:
        await tx.execute("update gateway_event_queue set run_at = clock_timestamp()")
    await stage.apply()

    assert waits[:2] == [0, 0]
    assert waits[2:] == [pytest.approx(60, abs=20), pytest.approx(600, abs=20)]
    assert await stage.value("select count(*) from gateway_event_dead") == 0
    assert await stage.value("select event_id from gateway_event_outcome where outcome = 'applied'") == event_id


async def test_events_that_saw_a_death_are_never_begun_together_with_the_batch_behind(db, database_url, monkeypatch):
    monkeypatch.setattr(applier, "BATCH_MAX", 2)
    stage = await set_stage(db, database_url)
    events = await stage.deliver(*(event("charge.succeeded", charge(str(n))) for n in range(4)))
    async with db.engine() as tx:
        await tx.execute("update gateway_event_queue set crashes = 2 where event_id = any($1::uuid[])", events[2:])
    begun = []
    finish, mark = queue.finish, queue.mark

    async def finish_and_note(tx, lane, *, outcomes, then=queue.NOTHING):
        begun.append(len(then.events))
        await finish(tx, lane, outcomes=outcomes, then=then)

    async def mark_and_note(connection, bucket, then):
        begun.append(len(then.events))
        await mark(connection, bucket, then)

    monkeypatch.setattr(queue, "finish", finish_and_note)
    monkeypatch.setattr(queue, "mark", mark_and_note)
    await stage.apply()

    assert begun == [2, 0, 1, 0, 1, 0]


async def test_a_worker_that_lost_its_session_can_commit_nothing(db, database_url, admin_url):
    stage = await set_stage(db, database_url)
    await stage.deliver(event("checkout.session.completed", session()))
    frozen = await Applier.open(settings=Settings(database_url=database_url), registry=registry())
    bucket = await queue.claim(frozen._connection)
    admin = await asyncpg.connect(admin_url)

    await admin.execute("select pg_terminate_backend($1)", frozen._connection.get_server_pid())
    await asyncio.sleep(0.1)
    done = await stage.apply()

    assert bucket is not None
    assert done == 1
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await frozen.work()
    assert await stage.value("select count(*) from credit_lot") == 1
    await admin.close()


async def test_a_worker_that_dies_between_two_batches_leaves_the_next_one_named_and_nothing_twice(
    db, database_url, monkeypatch
):
    monkeypatch.setattr(applier, "BATCH_MAX", 4)
    stage = await set_stage(db, database_url)
    events = await stage.deliver(*(event("checkout.session.completed", session(str(n))) for n in range(10)))
    dying = await Applier.open(settings=Settings(database_url=database_url), registry=registry())
    write = dying._write

    async def write_once(*arguments):
        monkeypatch.setattr(dying, "_write", AsyncMock(side_effect=ConnectionResetError))
        await write(*arguments)

    monkeypatch.setattr(dying, "_write", write_once)

    with pytest.raises(ConnectionResetError):
        await dying.work()
    dying.terminate()
    marked = await stage.value("select events from worker_bucket where events <> '{}'")
    applied = [row["event_id"] for row in await stage.rows("select event_id from gateway_event_outcome")]
    await asyncio.sleep(0.1)
    done = await stage.apply()

    assert len(applied) == 4
    assert len(marked) == 4
    assert {*applied, *marked} < {*events}
    assert not {*applied} & {*marked}
    assert done == 6
    assert await stage.value("select count(*) from credit_lot") == 10
    assert await stage.value("select count(*) from gateway_event_outcome") == 10
    assert await stage.value("select count(*) from worker_bucket where events <> '{}'") == 0


async def test_of_a_batch_that_fails_only_the_failing_event_waits(db, database_url, monkeypatch):
    stage = await set_stage(db, database_url)
    events = await stage.deliver(*(event("checkout.session.completed", session(str(n))) for n in range(9)))
    refusing = await Applier.open(settings=Settings(database_url=database_url), registry=registry())
    write = refusing._write

    async def refuse_the_fifth(lane, translated):
        await write(lane, translated)
        if events[4] in {t.event.id for t in translated}:
            raise ValueError("no")

    monkeypatch.setattr(refusing, "_write", refuse_the_fifth)
    monkeypatch.setattr(refusing, "_tell", AsyncMock())  # drawing tracebacks for a terminal takes seconds

    await refusing.work()
    refusing.terminate()

    assert await stage.rows("select event_id, tries, crashes, error from gateway_event_queue") == [
        {"event_id": events[4], "tries": 1, "crashes": 0, "error": "ValueError: no"}
    ]
    assert await stage.value("select count(*) from credit_lot") == 8


async def test_two_workers_at_once_apply_each_event_once(db, database_url):
    stage = await set_stage(db, database_url)
    await stage.deliver(*(event("checkout.session.completed", session(str(n))) for n in range(300)))

    done = await asyncio.gather(*(stage.apply() for _ in range(4)))

    assert sum(done) == 300
    assert await stage.value("select count(*) from credit_lot") == 300
    assert await stage.value("select count(*) from audit_record") == 300


async def test_unmatched_money_dissolves_when_its_price_is_defined(db, database_url):
    stage = await set_stage(db, database_url)
    lines = {
        "object": "list",
        "data": [{"id": "li_1", "price": {"id": "price_late"}, "quantity": 2, "amount_total": 5000}],
    }
    await stage.tell(event("checkout.session.completed", session(metadata={}, line_items=lines)))
    reason = await stage.value("select unmatched_reason from purchase")
    await add_price(stage, "late", 2500, [{"kind": "credits", "amount": 3}], refs=["price_late"])

    await stage.say("bursar.catalog.changed", {"refs": ["price_late"], "names": ["late"]})
    await stage.apply()

    assert reason == "no price has the gateway reference price_late"
    assert await stage.row("select unmatched_reason, lines::text from purchase") != reason
    assert await stage.value("select granted from credit_lot") == 6
    assert await stage.value("select balance_minor from ledger_balance where account = 'unmatched'") == 0


async def test_an_operator_assigns_unmatched_money_once(db, database_url):
    stage = await set_stage(db, database_url)
    await stage.tell(event("payment_intent.succeeded", intent()))

    for _ in range(2):
        await stage.say("bursar.payment.assigned", {"payment": "pi_1", "price": PACK, "quantity": 1})
    await stage.apply()

    assert await stage.value("select granted from credit_lot") == 10
    assert await stage.value("select unmatched_reason from purchase") is None


async def test_a_body_that_claims_to_be_ours_is_ignored(db, database_url):
    stage = await set_stage(db, database_url)
    await stage.tell(event("payment_intent.succeeded", intent()))

    await stage.tell(event("bursar.payment.assigned", {"payment": "pi_1", "price": PACK, "quantity": 1}))

    assert await stage.value("select count(*) from credit_lot") == 0
    assert await stage.value("select outcome from gateway_event_outcome order by event_id desc limit 1") == "ignored"


async def test_two_tenants_with_the_same_gateway_ids_do_not_mix(db, database_url):
    ours, theirs = await set_stage(db, database_url), await set_stage(db, database_url)
    same = event("checkout.session.completed", session(), id="evt_same")

    await ours.tell(same)
    await theirs.tell(same | json.loads(json.dumps({"created": 1_760_000_001})))
    await theirs.tell(
        event(
            "refund.created",
            {
                "id": "re_1",
                "object": "refund",
                "status": "succeeded",
                "amount": 5000,
                "currency": "eur",
                "payment_intent": "pi_1",
            },
        )
    )

    assert await ours.value("select remaining from credit_lot") == 10
    assert await theirs.value("select remaining from credit_lot") == 0


async def test_a_batch_is_cut_where_its_bodies_grow_too_long_and_the_rest_follows(db, database_url, monkeypatch):
    stage = await set_stage(db, database_url)
    events = await stage.deliver(*(event("checkout.session.completed", session(str(n))) for n in range(6)))
    longest = await stage.value("select max(length(body)) from gateway_event_body")
    monkeypatch.setattr(queue, "_BODIES", queue._BODIES.replace(str(queue.BATCH_BYTES_MAX), str(2 * longest)))
    reading = await Applier.open(settings=Settings(database_url=database_url), registry=registry())
    bucket = await queue.claim(reading._connection)

    _, first = await queue.due_events(reading._connection, bucket, limit=100)
    _, second = await queue.due_events(reading._connection, bucket, limit=100, beyond=[e.id for e in first])
    reading.terminate()
    await asyncio.sleep(0.1)
    done = await stage.apply()

    assert 0 < len(first) < 6
    assert not {e.id for e in first} & {e.id for e in second}
    assert all(e.body for e in first + second)
    assert done == len(events)
    assert await stage.value("select count(*) from credit_lot") == 6
