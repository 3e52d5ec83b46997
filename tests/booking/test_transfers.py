"""Credits go to another customer, and pay where their pool is good."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from booking.studio import Studio, refused, studio, told
from bursar.kernel import ids

pytestmark = pytest.mark.anyio

SOON = datetime(2026, 3, 3, 18, tzinfo=UTC)
ENDS = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
async def flow(db, database_url):
    """A studio of which every invariant holds when the test is over."""
    async with studio(db, database_url) as made:
        yield made
        assert await made.broken() == {}


async def allow(flow: Studio) -> None:
    body = {"is_on": True, "parameters": {}}
    told(await flow.caller.send("PUT", "/v1/booking-rules/credits_transferable", body), 200)


async def lot_of(flow: Studio, customer: str) -> str:
    answer = await flow.caller.get(f"/v1/customers/{customer}/credits")
    return str(answer.json()["lots"][0]["id"])


async def test_credits_go_to_another_customer_where_the_business_says_so_and_no_unit_is_made_or_lost(flow: Studio):
    ann, bob = await flow.person("ann", owns=5, expires_at=ENDS), await flow.person("bob")
    wanted = {"lot": await lot_of(flow, ann), "customer": bob, "amount": 2, "reason": "a birthday"}
    refused(await flow.caller.post("/v1/credit-transfers", wanted), "credits_not_transferable")
    before = await flow.balance(bob)
    await allow(flow)
    made = [await flow.caller.post("/v1/credit-transfers", wanted, once="gift-1") for _ in range(2)]
    a_class = await flow.class_at(SOON)
    booked = await flow.booked(a_class, bob)
    told(await flow.cancel(booked))

    first = told(made[0])
    assert made[0].json() == made[1].json()
    assert (first["from_customer"], first["to_customer"], first["amount"], first["pool"]) == (ann, bob, 2, "classes")
    assert datetime.fromisoformat(first["expires_at"]) == ENDS
    assert (before, await flow.balance(ann), await flow.balance(bob)) == (0, 3, 2)
    assert [each["id"] for each in await flow.caller.data("/v1/credit-transfers", from_customer=ann)] == [first["id"]]
    assert await flow.caller.data("/v1/credit-transfers", from_customer=bob) == []
    assert told(await flow.caller.get(f"/v1/credit-transfers/{first['id']}"), 200) == first
    audited = "select count(*) from audit_record where action = 'credits.transferred' and subject = $1"
    assert await flow.stage.value(audited, wanted["lot"]) == 1


async def test_what_a_booking_or_a_transfer_spent_comes_back_with_it_and_not_by_itself(flow: Studio):
    await allow(flow)
    ann, bob = await flow.person("ann", owns=5), await flow.person("bob")
    told(await flow.caller.post("/v1/credit-transfers", {"lot": await lot_of(flow, ann), "customer": bob, "amount": 2}))
    await flow.booked(await flow.class_at(SOON), ann)
    spends = await flow.stage.rows("select id, reference from credit_spend order by reference")
    answers = [
        await flow.caller.post(f"/v1/credit-spends/{ids.show(ids.SPEND, each['id'])}/returns") for each in spends
    ]
    mine = {"customer": ann, "amount": 1, "pool": "classes", "reference": "transfer:of-mine"}
    forged = await flow.caller.post("/v1/credit-spends", mine)

    assert [each["reference"].partition(":")[0] for each in spends] == ["booking", "transfer"]
    for answer in (*answers, forged):
        refused(answer, "spend_reserved")
    assert [answer.json()["hint"].partition(":")[0] for answer in answers] == [
        "Book, or cancel the booking",
        "Transfer the credits back",
    ]
    assert (await flow.balance(ann), await flow.balance(bob)) == (2, 2)


async def test_of_credits_that_many_want_at_once_none_goes_twice(flow: Studio):
    await allow(flow)
    ann, bob = await flow.person("ann", owns=5), await flow.person("bob")
    wanted = {"lot": await lot_of(flow, ann), "customer": bob, "amount": 2}
    a_class = await flow.class_at(SOON, cost=2)
    answers = await asyncio.gather(
        *(flow.caller.post("/v1/credit-transfers", wanted) for _ in range(4)), flow.book(a_class, ann)
    )

    assert sorted(each.status_code for each in answers) == [201, 201, 409, 409, 409]
    assert {each.json()["code"] for each in answers if each.status_code == 409} <= {
        "credits_insufficient",
        "credit_transfer_unfit",
    }
    assert await flow.balance(ann) == 1


async def test_what_cannot_be_transferred_is_refused_and_stays(flow: Studio):
    await allow(flow)
    ann, bob = await flow.person("ann", owns=3, expires_at=ENDS), await flow.person("bob")
    lot = await lot_of(flow, ann)
    post = "/v1/credit-transfers"
    refused(await flow.caller.post(post, {"lot": lot, "customer": ann}), "credit_transfer_unfit")
    refused(await flow.caller.post(post, {"lot": lot, "customer": bob, "amount": 4}), "credits_insufficient")
    missing = {"lot": ids.show(ids.LOT, ids.new()), "customer": bob}
    refused(await flow.caller.post(post, missing), "credit_lot_not_found", 404)
    nobody = {"lot": lot, "customer": ids.show(ids.CUSTOMER, ids.new())}
    refused(await flow.caller.post(post, nobody), "customer_not_found", 404)
    flow.at(ENDS + timedelta(days=1))
    refused(await flow.caller.post(post, {"lot": lot, "customer": bob}), "credit_transfer_unfit")

    assert await flow.stage.value("select sum(remaining) from credit_lot") == 3
    assert await flow.stage.value("select count(*) from credit_transfer") == 0


async def test_credits_pay_at_the_venues_of_their_pool_and_why_not_elsewhere_is_told(flow: Studio):
    ann = await flow.person("ann", owns=3)
    other = told(await flow.caller.post("/v1/venues", {"name": "Hill", "time_zone": "America/New_York"}))
    here = ids.show(ids.VENUE, flow.venue)
    a_class, later = await flow.class_at(SOON), await flow.class_at(SOON + timedelta(days=1))
    path = "/v1/credit-pools/classes"
    told(await flow.caller.send("PUT", path, {"venues": [other["id"]]}), 200)
    found = told(await flow.caller.get(f"/v1/classes/{a_class}/bookability", customer=ann), 200)
    refused(await flow.book(a_class, ann), "credits_of_other_venues")
    listed = told(await flow.caller.get("/v1/credit-pools"), 200)["data"]
    told(await flow.caller.send("PUT", path, {"venues": [other["id"], here]}), 200)
    booked = await flow.booked(a_class, ann)
    told(await flow.caller.send("PUT", path, {"venues": []}), 200)
    free = await flow.booked(later, ann)
    unknown = await flow.caller.send("PUT", path, {"venues": [ids.show(ids.VENUE, ids.new())]})

    assert [each["code"] for each in found["failures"]] == ["credits_of_other_venues", "credits_insufficient"]
    assert found["failures"][0]["context"] == {"credits_barred": 3}
    assert listed == [{"pool": "classes", "venues": [other["id"]]}]
    assert (booked["credit_cost"], free["credit_cost"], await flow.balance(ann)) == (1, 1, 1)
    refused(unknown, "venue_not_found", 404)
