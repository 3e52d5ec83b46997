"""Forty want ten seats, through two server processes; and processes are killed in the middle of bookings. Nothing is sold twice or lost.

`BURSAR_TEST_TRIALS=12` makes more trials.
"""

import asyncio
import json
import os
import signal
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from api.test_idempotency_processes import Process, processes
from booking.studio import Studio, broken, studio
from bursar.kernel import ids
from bursar.kernel.db import Database

pytestmark = pytest.mark.anyio

TRIALS = int(os.environ.get("BURSAR_TEST_TRIALS", "3"))
SOON = datetime.now(UTC).replace(microsecond=0) + timedelta(days=3)

_PEOPLE = """
insert into customer (tenant_id, id, gateway_account_id, gateway_ref, created_at)
select $1, id, $2, 'cus_' || place, now() from unnest($3::uuid[]) with ordinality as new (id, place)
"""
_LOTS = """
with made as (
  insert into credit_lot (tenant_id, id, customer_id, pool, granted, effective_at, created_at)
  select $1, gen_random_uuid(), id, 'classes', $3, now() - interval '1 day', now() from unnest($2::uuid[]) as new (id) returning id, customer_id
)
insert into credit_movement (tenant_id, id, lot_id, customer_id, kind, amount)
select $1, gen_random_uuid(), id, customer_id, 'adjusted', $3 from made
"""


async def crowd(desk: Studio, count: int, *, owns: int) -> list[str]:
    """Return so many customers with so many credits each."""
    stage, people = desk.stage, [ids.new() for _ in range(count)]
    async with stage.db.tenant(stage.tenant_id) as tx:
        await tx.execute(_PEOPLE, stage.tenant_id, stage.account_id, people)
        await tx.execute(_LOTS, stage.tenant_id, people, owns)
    return [ids.show(ids.CUSTOMER, each) for each in people]


def headers(desk: Studio) -> dict[str, str]:
    return desk.caller.headers | {"content-type": "application/json"}


async def ask(server: Process, desk: Studio, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return status and body; 0 where the server died before it answered."""
    try:
        answer = await server.send(path, json.dumps(body).encode(), headers(desk))
    except OSError:
        return 0, {}
    return answer.status, answer.json if answer.status and answer.body else {}


async def test_of_forty_who_want_ten_seats_exactly_ten_have_one(db: Database, database_url: str):
    async with studio(db, database_url) as desk:
        people = await crowd(desk, 40, owns=TRIALS)
        flows = [await desk.class_at(SOON + timedelta(hours=2 * n)) for n in range(TRIALS)]
        async with processes(database_url, 2) as servers:
            for flow in flows:
                asked = [
                    ask(servers[n % 2], desk, "/v1/bookings", {"class": flow, "customer": each})
                    for n, each in enumerate(people)
                ]
                told = await asyncio.gather(*asked)

                assert Counter((status, body.get("code")) for status, body in told) == {
                    (201, None): 10,
                    (409, "class_full"): 30,
                }
                assert await desk.seats(flow) == (0, 10, 0)
        spent = await desk.stage.value(
            "select coalesce(sum(-amount), 0)::int from credit_movement where kind = 'spent'"
        )
        assert spent == 10 * TRIALS
        assert await desk.broken() == {}


async def test_servers_killed_in_the_middle_of_bookings_leave_no_seat_without_its_credit(
    db: Database, database_url: str
):
    async with studio(db, database_url) as desk:
        people = await crowd(desk, 24, owns=30)
        flows = [await desk.class_at(SOON + timedelta(hours=2 * n), capacity=8) for n in range(4)]
        told: list[tuple[str, str, int, dict[str, Any]]] = []

        async def come_and_go(server: Process, customer: str, flow: str) -> None:
            for _ in range(3):
                status, body = await ask(server, desk, "/v1/bookings", {"class": flow, "customer": customer})
                told.append((customer, flow, status, body))
                if status == 409 and body["code"] == "class_full":
                    await ask(server, desk, "/v1/waitlist-entries", {"class": flow, "customer": customer})
                if status == 201:
                    await ask(server, desk, f"/v1/bookings/{body['id']}/cancellations", {})

        async with processes(database_url, 2) as servers:
            coming = [
                asyncio.create_task(come_and_go(servers[n % 2], each, flows[n % 4])) for n, each in enumerate(people)
            ]
            await asyncio.sleep(0.8)
            servers[0].end(signal.SIGKILL)
            await asyncio.gather(*coming)

        assert any(status == 0 for _, _, status, _ in told)
        assert any(status == 201 for _, _, status, _ in told)
        assert not [body for _, _, status, body in told if status >= 500 and status != 503]
        assert await broken(desk.stage) == {}
        for _, _, status, body in told:
            if status == 201:
                assert await desk.stage.value("select count(*) from booking where number = $1", body["number"]) == 1
