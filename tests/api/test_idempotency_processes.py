"""Idempotency-Key across API processes: a thousand at once have one effect, and a killed process leaves nothing behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from contextlib import asynccontextmanager, suppress

import pytest

from bursar.kernel import tenancy
from bursar.kernel.postgres.ports import free_port
from serving import KEY, Answer, Server
from stage import set_stage

pytestmark = pytest.mark.anyio

ORDER = json.dumps({"lines": [{"price": "pack-10"}]}).encode()


class Process(Server):
    """An API process, started as an operator starts it."""

    def __init__(self, url: str, **settings: str) -> None:
        super().__init__(free_port())
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bursar", "serve", "--port", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**clean, "BURSAR_DATABASE_URL": url, "BURSAR_SECRET_KEY": KEY, **settings},
            start_new_session=True,
        )

    async def is_ready(self) -> None:
        for _ in range(600):
            with suppress(OSError):
                if (await self.send("/health/ready", method="GET")).status == 200:
                    return
            await asyncio.sleep(0.05)
        raise AssertionError("not ready in time")

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        self._process.wait(timeout=20)


@asynccontextmanager
async def processes(url: str, count: int, **settings: str):
    started = [Process(url, **settings) for _ in range(count)]
    try:
        await asyncio.gather(*(process.is_ready() for process in started))
        yield started
    finally:
        for process in started:
            process.end()


@pytest.fixture
async def buyer(db, database_url):
    """A tenant and the headers with which it orders under one key."""
    stage = await set_stage(db, database_url)
    async with db.tenant(stage.tenant_id) as tx:
        key = await tenancy.create_key(tx, tenant_id=stage.tenant_id, name="test", actor="operator")
    return stage, {
        "authorization": f"Bearer {key}",
        "content-type": "application/json",
        "idempotency-key": "one-and-only",
    }


async def test_a_thousand_at_once_through_two_processes_have_one_effect(buyer, database_url):
    stage, headers = buyer
    async with processes(database_url, 2, BURSAR_POOL_SIZE="10") as servers:
        answers = await asyncio.gather(*(servers[n % 2].send("/v1/orders", ORDER, headers) for n in range(1000)))
        settled = [await server.send("/v1/orders", ORDER, headers) for server in servers]
        meanwhile = [
            await server.send("/v1/orders", ORDER, headers | {"idempotency-key": "other"}) for server in servers
        ]

    counted = Counter(
        (a.status, a.headers.get("idempotency-replayed", "")) if a.status == 201 else (a.status, a.json["code"])
        for a in answers
    )
    assert counted.keys() <= {(201, ""), (201, "true"), (409, "idempotency_running")}
    assert counted[(201, "")] == 1
    assert all(a.headers["retry-after"] == "1" for a in answers if a.status == 409)
    assert {a.body for a in (*answers, *settled) if a.status == 201} == {settled[0].body}
    assert [a.headers.get("idempotency-replayed") for a in meanwhile] == [None, "true"]
    assert await stage.value("select count(*) from customer_order") == 2


async def test_waiting_ones_hold_no_connection(buyer, database_url, locked):
    """The first is stuck in the database; hundreds that repeat it are answered, and so is everybody else."""
    _, headers = buyer
    async with processes(database_url, 1, BURSAR_POOL_SIZE="2") as (server,):
        async with locked("customer_order"):
            first = asyncio.create_task(server.send("/v1/orders", ORDER, headers))
            await asyncio.sleep(0.5)
            repeated = await asyncio.gather(*(server.send("/v1/orders", ORDER, headers) for _ in range(300)))
            others = await asyncio.gather(
                *(server.send("/v1/products?limit=1", headers=headers, method="GET") for _ in range(20))
            )
        done = await first

    assert Counter(a.status for a in repeated) == {409: 300}
    assert Counter(a.status for a in others) == {200: 20}
    assert done.status == 201


async def test_a_process_killed_in_the_middle_leaves_nothing_and_the_repetition_does_the_work(
    buyer, database_url, locked
):
    stage, headers = buyer
    async with processes(database_url, 2) as (doomed, other):
        async with locked("audit_record"):
            # The order is written and its audit record waits: killed between the two.
            first = asyncio.create_task(doomed.send("/v1/orders", ORDER, headers))
            await asyncio.sleep(0.5)
            running = await other.send("/v1/orders", ORDER, headers)
            doomed.end(signal.SIGKILL)
            unanswered = await first
        again = await until_not_running(other, headers)
        once_more = await other.send("/v1/orders", ORDER, headers)

    assert (running.status, running.json["code"]) == (409, "idempotency_running")
    assert unanswered == Answer(0, {}, b"")
    assert (again.status, again.headers.get("idempotency-replayed")) == (201, None)
    assert once_more.body == again.body
    assert await stage.value("select count(*) from customer_order") == 1
    assert await stage.value("select count(*) from audit_record where action = 'order.placed'") == 1


async def until_not_running(server: Server, headers: dict[str, str]) -> Answer:
    """Repeat as a client does: the dead process's session ends when the server of the database notices."""
    for _ in range(20):
        answer = await server.send("/v1/orders", ORDER, headers)
        if answer.status != 409:
            return answer
        await asyncio.sleep(float(answer.headers["retry-after"]))
    raise AssertionError("still running")
