"""The demo's studio opens once, over the API like any caller, and whatever happens in it leaves every invariant whole."""

from datetime import UTC, datetime

import pytest

from api.conftest import caller_of, running
from booking.studio import broken
from bursar.operations.studio_life import Life, furnish
from stage import set_stage

pytestmark = pytest.mark.anyio

TODAY = datetime.now(UTC).date()
PEOPLE = 25
ACTS = 150


async def test_the_studio_opens_once_and_lives(db, database_url):
    async with running(database_url, rate_key_general=1_000_000) as (_, http):
        caller = await caller_of(await set_stage(db, database_url), http)
        http.headers["authorization"] = f"Bearer {caller.key}"
        opened = [await furnish(http, today=TODAY) for _ in range(2)]
        classes = await caller.data("/v1/classes", limit=200)
        for number in range(PEOPLE):
            added = await caller.post("/v1/customers", {"email": f"p{number}@example.org", "name": f"P{number}"})
            given = {"customer": added.json()["id"], "amount": 20, "pool": "classes", "reason": "test"}
            assert (await caller.post("/v1/credit-adjustments", given)).status_code == 201
        life = Life(url="http://bursar.test", api_key=caller.key, seed=7, crowd=60.0)
        for _ in range(ACTS):
            await life.act(http)
        statuses = {row["status"] for row in await caller.stage.rows("select distinct status from booking")}
        waited = await caller.stage.value("select count(*) from waitlist_entry")

    assert opened == [True, False]
    assert len(classes) == 200
    assert len(await caller.stage.rows("select id from venue")) == 1
    assert life.done > ACTS // 2
    assert {"booked", "cancelled"} <= statuses
    assert waited > 0
    assert await broken(caller.stage) == {}
