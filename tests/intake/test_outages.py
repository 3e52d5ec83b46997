"""The database goes away in the middle of deliveries, and comes back: deliveries are refused, then taken again."""

import asyncio
import json

import asyncpg
import pytest

from bursar.kernel import migrations
from bursar.kernel.db import Database
from bursar.money.intake.partitions import ensure_partitions
from serving import serving, set_receiver
from stage import event, intent

pytestmark = pytest.mark.anyio


async def deliver_until(
    stop: asyncio.Event, server, receiver, *, acked: set[str], statuses: set[int], number: int
) -> None:
    count = 0
    while not stop.is_set():
        count += 1
        body = json.dumps(
            event("payment_intent.succeeded", intent(f"{number}_{count}"), id=f"evt_{number}_{count}")
        ).encode()
        try:
            answer = await server.send(receiver.path, body, receiver.signed(body))
        except (OSError, TimeoutError):
            continue
        statuses.add(answer.status)
        if answer.status == 200:
            acked.add(f"evt_{number}_{count}")
        else:
            await asyncio.sleep(0.02)


async def test_after_restarts_and_killed_sessions_deliveries_are_taken_again_and_none_acknowledged_is_lost(
    durable_cluster,
):
    await migrations.migrate(durable_cluster.admin_url, login="bursar_app", hooks=[ensure_partitions])
    db = await Database.open(durable_cluster.app_url)
    receiver = await set_receiver(db, durable_cluster.app_url)
    stop, acked, statuses = asyncio.Event(), set(), set()

    async with serving(durable_cluster.app_url) as server:
        senders = [
            asyncio.create_task(deliver_until(stop, server, receiver, acked=acked, statuses=statuses, number=n))
            for n in range(16)
        ]
        for _ in range(3):
            await asyncio.sleep(0.5)
            admin = await asyncpg.connect(durable_cluster.admin_url)
            await admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'bursar_app'")
            await admin.close()
            await asyncio.sleep(0.5)
            durable_cluster.stop("immediate")
            durable_cluster.start()
        await asyncio.sleep(0.5)
        before = len(acked)
        for _ in range(100):
            await asyncio.sleep(0.1)
            if len(acked) > before + 100:
                break
        stop.set()
        await asyncio.gather(*senders)

    connection = await asyncpg.connect(durable_cluster.admin_url)
    stored = {row["gateway_event_id"] for row in await connection.fetch("select gateway_event_id from gateway_event")}
    await connection.close()
    await db.close()
    assert len(acked) > before + 100, (before, len(acked), statuses)
    assert statuses <= {200, 503, 0}
    assert acked <= stored
