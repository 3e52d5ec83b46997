"""Several calls that belong together: done, undone in reverse, or laid before a person with what to do."""

from datetime import datetime

import pytest

from bursar.kernel import ids
from changing.conftest import Club

pytestmark = pytest.mark.anyio


async def member(club: Club) -> str:
    """Let somebody have bought gold, 9000 a month; silver is 3000."""
    gold = await club.price("gold", 9000, 30)
    await club.price("silver", 3000, 8)
    return await club.bought("gold", gold)


async def middle(club: Club) -> str:
    """Return the middle of the paid period."""
    told = await club.subscription()
    start, end = (datetime.fromisoformat(told[name]) for name in ("current_period_start", "current_period_end"))
    return (start + (end - start) / 2).isoformat()


async def test_a_cheaper_price_and_the_difference_back(club: Club):
    sub = await member(club)
    at = await middle(club)

    answer = await club.ask(f"/v1/subscriptions/{sub}/refunded-changes", {"price": "silver", "proration_at": at})

    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["state"], told["amount_minor"], told["currency"]) == ("completed", 3000, "EUR")
    assert [(step["name"], step["state"], step["call_state"]) for step in told["steps"]] == [
        ("change", "done", "succeeded"),
        ("refund", "done", "succeeded"),
    ]
    payment = await club.mine.one("/v1/payments")
    assert (payment["id"], payment["refunded_minor"]) == (told["payment"], 3000)
    assert (await club.subscription())["price"] == ids.show(ids.PRICE, club.stage.prices["silver"])
    assert (await club.mine.get(f"/v1/sagas/{told['id']}")).json() == told
