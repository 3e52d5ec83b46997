"""A restart of the database is nobody's crash; the death of a worker is."""

import asyncpg
import pytest

from bursar.bootstrap import registry
from bursar.kernel import migrations
from bursar.kernel.db import Database
from bursar.kernel.settings import Settings
from bursar.money.intake import queue
from bursar.money.intake.partitions import ensure_partitions
from bursar.worker.applier import Applier
from stage import event, session, set_stage

pytestmark = pytest.mark.anyio

CRASHES = "select crashes from gateway_event_queue"


async def begin(url: str) -> Applier:
    """Do what a worker does up to the middle of a batch: claim, look for crashes, mark."""
    applier = await Applier.open(settings=Settings(database_url=url), registry=registry())
    bucket = await queue.claim(applier._connection)
    assert bucket is not None
    await queue.crashed_in(applier._connection, bucket)
    due = await queue.due_events(applier._connection, bucket, limit=1)
    assert due is not None
    lane, events = due
    await queue.mark(applier._connection, bucket, queue.Mark(lane.tenant_id, [e.id for e in events], "one that dies"))
    return applier


async def test_restarts_of_the_server_while_an_event_is_in_work_do_not_bury_it(durable_cluster):
    await migrations.migrate(durable_cluster.admin_url, login="bursar_app", hooks=[ensure_partitions])
    db = await Database.open(durable_cluster.app_url)
    stage = await set_stage(db, durable_cluster.app_url)
    await stage.deliver(event("checkout.session.completed", session()))

    for _ in range(queue.CRASHES_MAX + 1):
        working = await begin(durable_cluster.app_url)
        await db.close()
        durable_cluster.stop("immediate")
        durable_cluster.start()
        working.terminate()
        db = stage.db = await Database.open(durable_cluster.app_url)
    counted = await stage.value(CRASHES)
    await stage.apply()

    assert counted == 0
    assert await stage.value("select count(*) from gateway_event_dead") == 0
    assert await stage.value("select sum(granted)::bigint from credit_lot") == 10
    await db.close()


async def test_a_worker_that_dies_while_the_server_stays_is_counted(db, database_url, admin_url):
    stage = await set_stage(db, database_url)
    await stage.deliver(event("checkout.session.completed", session()))
    admin = await asyncpg.connect(admin_url)

    for _ in range(2):
        working = await begin(database_url)
        pid = working._connection.get_server_pid()
        working.terminate()
        await admin.execute("select pg_terminate_backend($1, 5000)", pid)
    last = await begin(database_url)

    assert await stage.value(CRASHES) == 2
    last.terminate()
    await admin.close()
