"""A studio that sells seats for money, and what its gateway tells of them."""

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from api.conftest import running
from booking.studio import Clock, Studio, studio_of
from bursar.apps.booking import bookings
from bursar.apps.booking.bookings import seat_jobs
from bursar.kernel.db import Database
from bursar.operations.verify import verify
from draining import bring_forward, drain
from serving import give_key
from stage import add_price, event, intent

HOUR = timedelta(hours=1)
KINDS = (*bookings.KINDS, *seat_jobs.KINDS)


def soon() -> datetime:
    """An hour of the day after next: payments are applied by the clock of this machine."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=2)


@asynccontextmanager
async def till(db: Database, url: str, admin_url: str) -> AsyncIterator[Studio]:
    """A studio that sells a seat for 15.00, and of which every invariant holds when the test is over."""
    clock = Clock(datetime.now(UTC))
    async with running(url, clock=clock) as (_, http), studio_of(db, url, http, clock) as made:
        await give_key(made.stage, "sk_test_studio")
        await add_price(made.stage, "drop-in", 1500, [{"kind": "seat"}], refs=[])
        yield made
        connection = await asyncpg.connect(admin_url)
        verified = await verify(connection, made.stage.tenant_id, standing_kinds=[])
        await connection.close()
        assert not [(check.name, check.offending) for check in verified.invariants if not check.ok]


async def asked(desk: Studio, booking: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the lines of the page on which a booking is paid."""
    request = await desk.stage.value(
        "select request from gateway_call g join checkout k on k.tenant_id = g.tenant_id and k.call_id = g.id "
        "join booking b on b.tenant_id = k.tenant_id and b.order_id = k.order_id where b.number = $1",
        booking["number"],
    )
    return json.loads(request)["lines"]


_count = itertools.count()


async def pay(desk: Studio, booking: dict[str, Any], amount: int) -> None:
    n = f"c{next(_count)}"
    given = {
        "amount": amount,
        "amount_received": amount,
        "currency": "eur",
        "metadata": {"bursar_order": booking["order"]},
    }
    await desk.stage.tell(event("payment_intent.succeeded", intent(n, **given), id=f"evt_{n}"))


async def jobs(desk: Studio) -> None:
    await bring_forward(desk.stage)
    await drain(desk.stage, KINDS)


async def state(desk: Studio, booking: dict[str, Any]) -> str:
    return (await desk.booking(booking))["status"]


async def back(desk: Studio) -> list[int]:
    return [row["amount_minor"] for row in await desk.stage.rows("select amount_minor from refund where is_asked")]
