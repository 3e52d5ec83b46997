"""Fees: who does not come or cancels late owes what his booking's terms say, once, until it is paid, waived or withdrawn."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from booking.studio import Studio, refused, studio, told
from bursar.apps.booking import bookings, fees
from bursar.kernel import ids
from bursar.kernel.amounts import Money
from draining import drain
from serving import give_key
from stage import add_price, event, intent, refund

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
SOON = datetime(2026, 3, 3, 18, tzinfo=UTC)
THANKS = {"success_url": "https://studio.example.org/thanks"}
TERMS = {"no_show_fee_minor": 1500, "late_cancel_fee_minor": 1000, "fee_currency": "EUR"}


@pytest.fixture
async def flow(db, database_url):
    """A studio that asks 15.00 of who does not come and 10.00 of who cancels late, and of which every invariant holds."""
    async with studio(db, database_url) as made:
        await give_key(made.stage, "sk_test_fees")
        made.people["policy"] = ids.show(ids.BOOKING_POLICY, await made.policy(**TERMS))
        yield made
        assert await made.broken() == {}


async def a_booking(flow: Studio, name: str = "ann", *, at: datetime = SOON, policy: str = "policy") -> dict[str, Any]:
    chosen = ids.parse(ids.BOOKING_POLICY, flow.people[policy])
    a_class = await flow.class_at(at, cost=0, policy=chosen)
    return await flow.booked(a_class, await flow.person(name))


async def missed(flow: Studio, name: str = "ann", **more: Any) -> dict[str, Any]:
    """Return the booking of somebody who did not come."""
    made = await a_booking(flow, name, **more)
    flow.at(datetime.fromisoformat(made["starts_at"]) + HOUR)
    return told(await flow.caller.post(f"/v1/bookings/{made['id']}/no-shows", {}))


async def fees_of(flow: Studio, **given: Any) -> list[tuple[str, int, str]]:
    found = await flow.caller.data("/v1/booking-fees", **given)
    return [(each["kind"], each["amount_minor"], each["status"]) for each in reversed(found)]


async def ask(flow: Studio, booking: dict[str, Any]) -> dict[str, Any]:
    return told(await flow.caller.post(f"/v1/booking-fees/{booking['fee']['id']}/checkouts", THANKS))


async def pay(flow: Studio, fee: dict[str, Any], n: str = "1", amount: int = 1500, **more: Any) -> None:
    given = {"amount": amount, "amount_received": amount, "currency": "eur", "metadata": {"bursar_order": fee["order"]}}
    await flow.stage.tell(event("payment_intent.succeeded", intent(n, **given | more), id=f"evt_paid_{n}_{ids.new()}"))


async def asked_back(flow: Studio) -> list[int]:
    await drain(flow.stage, fees.KINDS)
    return [row["amount_minor"] for row in await flow.stage.rows("select amount_minor from refund where is_asked")]


async def state(flow: Studio, booking: dict[str, Any]) -> str | None:
    fee = (await flow.booking(booking))["fee"]
    return fee and fee["status"]


async def test_who_does_not_come_owes_the_fee_of_his_terms_once_however_often_it_is_marked(flow: Studio):
    made = await a_booking(flow)
    changed = {"name": "House", "terms": TERMS | {"no_show_fee_minor": 9900}}
    answer = await flow.caller.send("PUT", f"/v1/booking-policies/{flow.people['policy']}", changed)
    flow.at(SOON + HOUR)
    path = f"/v1/bookings/{made['id']}/no-shows"
    marked = await asyncio.gather(*(flow.caller.post(path, {}) for _ in range(4)))

    assert answer.status_code == 200
    assert {each.status_code for each in marked} == {201}
    assert await fees_of(flow) == [("no_show", 1500, "open")]
    assert told(marked[0])["fee"] == {
        "id": marked[0].json()["fee"]["id"],
        "kind": "no_show",
        "amount_minor": 1500,
        "currency": "EUR",
        "status": "open",
    }
    assert await flow.stage.value("select count(*) from outbox where topic = 'booking_fee.raised'") == 1
    assert (await flow.letters()).count("booking.fee") == 1


async def test_what_is_undone_is_owed_no_more_and_is_owed_again_when_it_is_marked_again(flow: Studio):
    made = await missed(flow)
    undone = told(await flow.caller.send("DELETE", f"/v1/bookings/{made['id']}/check-ins"), 200)
    again = told(await flow.caller.post(f"/v1/bookings/{made['id']}/no-shows", {}))
    came = told(await flow.caller.post(f"/v1/bookings/{made['id']}/check-ins", {}))

    assert (undone["fee"], again["fee"]["status"], came["fee"]) == (None, "open", None)
    assert await fees_of(flow) == [("no_show", 1500, "withdrawn")] * 2


async def test_cancelling_late_is_told_with_its_fee_before_and_owed_after_and_in_time_costs_nothing(flow: Studio):
    late, early = await a_booking(flow), await a_booking(flow, at=SOON + timedelta(days=3))
    flow.at(SOON - HOUR)
    said = [(await flow.caller.get(f"/v1/bookings/{each['id']}/consequence")).json() for each in (late, early)]
    gone = [told(await flow.cancel(each)) for each in (late, early)]
    ours = await a_booking(flow, "bob", at=SOON)
    told(await flow.cancel(ours, by="business"))

    assert [(each["fee_minor"], each["fee_currency"]) for each in said] == [(1000, "EUR"), (0, None)]
    assert "You owe a fee of 10.00 EUR." in said[0]["text"]
    assert "fee" not in said[1]["text"]
    assert [each["status"] for each in gone] == ["late_cancelled", "cancelled"]
    assert await fees_of(flow) == [("late_cancel", 1000, "open")]


async def test_a_payment_pays_it_once_and_what_comes_twice_or_too_late_goes_back(flow: Studio):
    made = await missed(flow)
    first, again = await ask(flow, made), await ask(flow, made)
    other = told(await flow.caller.post(f"/v1/booking-fees/{made['fee']['id']}/orders", {}))
    await pay(flow, first)
    await pay(flow, first)
    paid = await state(flow, made)
    before = await asked_back(flow)
    await pay(flow, other, "2")
    waived = await missed(flow, "bob", at=SOON + timedelta(days=1))
    late = await ask(flow, waived)
    path = f"/v1/booking-fees/{waived['fee']['id']}/waivers"
    told(await flow.caller.post(path, {"reason": "ill"}))
    await pay(flow, late, "3")
    too_little = await missed(flow, "cal", at=SOON + timedelta(days=2))
    await pay(flow, await ask(flow, too_little), "4", amount=1500)

    assert first["checkout"] == again["checkout"] and first["order"] == again["order"] != other["order"]
    assert (paid, before) == ("paid", [])
    assert await asked_back(flow) == await asked_back(flow) == [1500, 1500]
    assert (await state(flow, made), await state(flow, waived), await state(flow, too_little)) == (
        "paid",
        "waived",
        "paid",
    )
    refused(await flow.caller.post(f"/v1/booking-fees/{made['fee']['id']}/checkouts", THANKS), "booking_fee_not_open")
    refused(
        await flow.caller.post(f"/v1/booking-fees/{made['fee']['id']}/waivers", {"reason": "x"}), "booking_fee_not_open"
    )


async def test_a_fee_that_was_paid_goes_back_when_it_is_undone_and_is_owed_again_when_the_bank_takes_it(flow: Studio):
    undone, lost, back = [
        await missed(flow, name, at=SOON + timedelta(days=n)) for n, name in enumerate(("ann", "bob", "cal"))
    ]
    first = [await ask(flow, each) for each in (undone, lost, back)]
    for n, each in enumerate(first):
        await pay(flow, each, f"p{n}")
    told(await flow.caller.post(f"/v1/bookings/{undone['id']}/check-ins", {}))
    refunds = await asked_back(flow)
    given = refund("p2", amount=1500, charge="ch_p2", payment_intent="pi_p2")
    await flow.stage.tell(
        event("refund.created", given, at=1_760_000_050, id="evt_re"),
        event("charge.dispute.created", _dispute("needs_response"), at=1_760_000_100, id="evt_dp1"),
        event("charge.dispute.closed", _dispute("lost"), at=1_760_000_200, id="evt_dp2"),
    )
    reopened = await state(flow, lost)
    asked = await ask(flow, lost)
    await pay(flow, asked, "p9")

    assert refunds == [1500]
    assert (reopened, asked["order"] != first[1]["order"]) == ("open", True)
    assert (await state(flow, lost), await state(flow, back)) == ("paid", "refunded")


def _dispute(status: str) -> dict[str, Any]:
    return {
        "id": "dp_1",
        "object": "dispute",
        "charge": "ch_p1",
        "payment_intent": "pi_p1",
        "amount": 1500,
        "currency": "eur",
        "status": status,
        "reason": "fraudulent",
        "created": 1_760_000_100,
    }


async def test_members_first_offences_and_whoever_staff_cancels_for_are_spared_as_the_business_says(flow: Studio):
    terms = TERMS | {"fee_after": 1, "fee_free_for": ["gold"]}
    flow.people["mild"] = ids.show(ids.BOOKING_POLICY, await flow.policy(**terms))
    first, second = [await missed(flow, at=SOON + timedelta(days=n), policy="mild") for n in range(2)]
    member = await flow.person("gil")
    await add_price(flow.stage, "gold", 9000, [{"kind": "feature", "feature": "gold"}], refs=[])
    desk = told(await flow.caller.post("/v1/gateway-accounts", {"gateway": "manual", "name": "Desk"}))
    cash = {"price": "gold", "customer": member, "amount_minor": 9000, "currency": "EUR", "gateway_account": desk["id"]}
    when = {"occurred_at": (SOON - 48 * HOUR).isoformat()}
    told(await flow.caller.post("/v1/manual-payments", cash | when), 202)
    await flow.stage.apply()
    golden = [await missed(flow, "gil", at=SOON + timedelta(days=n), policy="mild") for n in range(3, 5)]
    staffed = {"is_on": True, "parameters": {"by_staff": True}}
    told(await flow.caller.send("PUT", "/v1/booking-rules/fee_free", staffed), 200)
    coming = await a_booking(flow, at=SOON + timedelta(days=5))
    flow.at(SOON + timedelta(days=5) - HOUR)
    async with flow.stage.db.tenant(flow.stage.tenant_id) as tx:
        asked = {
            "tenant_id": flow.stage.tenant_id,
            "booking_id": ids.parse(ids.BOOKING, coming["id"]),
            "now": flow.clock.now,
        }
        by = [(await bookings.consequence(tx, **asked, actor=actor)).fee for actor in ("user:usr_1", "key:key_1")]
    off = await flow.caller.send("PUT", "/v1/booking-rules/no_show_fee", {"is_on": False, "parameters": {}})
    spared = await missed(flow, at=SOON + timedelta(days=6))

    assert (first["fee"], second["fee"]["status"]) == (None, "open")
    assert [each["fee"] for each in golden] == [None, None]
    assert by == [None, Money(1000, "EUR")]
    assert (off.status_code, spared["fee"]) == (200, None)


async def test_whoever_owes_a_fee_books_again_when_it_is_paid_or_waived_where_the_business_says_so(flow: Studio):
    made = await missed(flow)
    later = await flow.class_at(SOON + timedelta(days=5), cost=0)
    free = (await flow.caller.get(f"/v1/classes/{later}/bookability", customer=made["customer"])).json()
    chosen = await flow.caller.send("PUT", "/v1/booking-rules/dues_paid", {"is_on": True, "parameters": {"fees": True}})
    found = (await flow.caller.get(f"/v1/classes/{later}/bookability", customer=made["customer"])).json()
    refused(await flow.book(later, made["customer"]), "dues_unpaid")
    path = f"/v1/booking-fees/{made['fee']['id']}/waivers"
    twice = [told(await flow.caller.post(path, {"reason": "ill"})) for _ in range(2)]

    assert free["is_bookable"]
    assert chosen.status_code == 200
    assert [each["code"] for each in found["failures"]] == ["dues_unpaid"]
    assert [(each["status"], each["reason"]) for each in twice] == [("waived", "ill")] * 2
    assert (await flow.book(later, made["customer"])).status_code == 201
    assert await flow.stage.value("select count(*) from outbox where topic = 'booking_fee.waived'") == 1


async def test_a_fee_without_a_currency_or_of_nonsense_is_refused(flow: Studio):
    for terms in (
        {"no_show_fee_minor": 100},
        {"no_show_fee_minor": -1, "fee_currency": "EUR"},
        {"late_cancel_fee_minor": 10**9, "fee_currency": "EUR"},
        {"no_show_fee_minor": 100, "fee_currency": "eur"},
        {"fee_free_for": ["a b"]},
        {"fee_free_for": ["x"] * 21},
    ):
        answer = await flow.caller.post("/v1/booking-policies", {"name": "Bad", "terms": terms})
        assert answer.status_code == 422, (terms, answer.text)
    assert (await flow.caller.get(f"/v1/booking-fees/{ids.show(ids.BOOKING_FEE, ids.new())}")).status_code == 404
