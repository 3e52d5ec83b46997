"""The worker's chores: expired credits expire, the books are looked at."""

from datetime import UTC, datetime, timedelta

import pytest

from bursar.worker.chores import Chores
from stage import add_price, event, session, set_stage

pytestmark = pytest.mark.anyio


async def test_lots_past_their_expiry_expire_with_a_movement_and_the_books_are_looked_at(db, database_url):
    stage = await set_stage(db, database_url)
    grants = [{"kind": "credits", "amount": 4, "expires_after": "P30D"}]
    await add_price(stage, "brief", 2000, grants, refs=[])
    await stage.tell(event("checkout.session.completed", session(metadata={"bursar_price": "brief"})))
    now = datetime.now(UTC)

    await Chores(db).run(now=now)
    await Chores(db).run(now=now + timedelta(days=36_500))

    assert await stage.row("select is_expired, remaining from credit_lot") == {"is_expired": True, "remaining": 0}
    assert await stage.rows("select kind, amount from credit_movement order by id") == [
        {"kind": "granted", "amount": 4},
        {"kind": "expired", "amount": -4},
    ]
    assert await stage.value("select failures::text from invariant_sweep") == "[]"
