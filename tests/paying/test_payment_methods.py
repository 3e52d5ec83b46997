"""Saved ways to pay: entered on a page or proved by their name, made the default, forgotten, and warned of before they end."""

from datetime import UTC, datetime

import pytest

from bursar.bootstrap import JOBS
from bursar.kernel import ids, jobs
from bursar.kernel.jobs import Engine, Kinds, Resources
from bursar.money.paying.expiring import WARN
from paying.conftest import ASKED_ALWAYS, BACK

pytestmark = pytest.mark.anyio

CARD = {"email": "ann@example.com", "method": "card", "number": "4242424242424242", "expiry": "12 / 34", "cvc": "123"}


async def test_a_card_entered_on_the_page_is_saved_shown_and_can_be_paid_with(till):
    answer = await till.ask("/v1/payment-methods", {"customer": till.customer, "return_url": BACK, "currency": "EUR"})
    made = answer.json()
    entered = await till.sandbox.http.post(made["url"], data=CARD)
    await till.hear()

    assert (answer.status_code, made["kind"], made["status"], made["customer"]) == (201, "setup", "open", till.customer)
    assert entered.status_code in (200, 303), entered.text
    after = (await till.mine.get(answer.headers["location"])).json()
    assert (after["status"], after["url"]) == ("done", None)
    card = await till.mine.one("/v1/payment-methods", customer=till.customer)
    shown = {name: card[name] for name in ("method", "brand", "last4", "exp_month", "exp_year", "status")}
    assert shown == {
        "method": "card",
        "brand": "visa",
        "last4": "4242",
        "exp_month": 12,
        "exp_year": 2034,
        "status": "active",
    }
    assert (card["is_default"], card["expires_soon"], card["default_of_subscriptions"]) == (False, False, [])
    assert (await till.mine.get(f"/v1/payment-methods/{card['id']}")).json() == card
    assert (await till.pay(card["id"])).json()["status"] == "succeeded"


async def test_a_card_that_is_named_is_proved_first_where_its_bank_asks(till):
    form = {"type": "card", "card": {"token": ASKED_ALWAYS}}
    ref = (await till.sandbox.done("POST", "/v1/payment_methods", form))["id"]
    body = {"customer": till.customer, "return_url": BACK, "gateway_ref": ref}

    made = (await till.ask("/v1/payment-methods", body)).json()
    before = await till.mine.data("/v1/payment-methods")
    await till.sandbox.http.post(made["url"], data={"answer": "complete"})
    await till.hear()

    assert (made["status"], before) == ("open", [])
    assert (await till.mine.one("/v1/payment-methods"))["gateway_ref"] == ref
    assert (await till.mine.get(f"/v1/payment-method-changes/{made['id']}")).json()["status"] == "done"


async def test_a_card_that_the_gateway_will_not_save_is_refused_for_good(till):
    form = {"type": "card", "card": {"token": "pm_card_chargeDeclined"}}
    ref = (await till.sandbox.done("POST", "/v1/payment_methods", form))["id"]
    body = {"customer": till.customer, "return_url": BACK, "gateway_ref": ref}

    answers = [await till.ask("/v1/payment-methods", body, once="k") for _ in range(2)]

    assert [(a.status_code, a.json()["code"]) for a in answers] == [(422, "payment_method_change_refused")] * 2
    refused = await till.mine.one("/v1/payment-method-changes")
    assert (refused["status"], refused["failure_code"]) == ("refused", "generic_decline")


async def test_the_default_is_used_when_none_is_named_and_a_detached_card_is_forgotten(till):
    first, second = await till.saved(), await till.saved()

    chosen = await till.ask(f"/v1/payment-methods/{first}/defaults", {})
    await till.hear()
    cards = {card["id"]: card["is_default"] for card in await till.mine.data("/v1/payment-methods")}
    wanted = {"customer": till.customer, "price": "ten"}
    paid = await till.ask("/v1/payments", wanted)
    gone = await till.ask(f"/v1/payment-methods/{first}/detachments")
    await till.hear()
    missing = await till.mine.post("/v1/payments", wanted)
    twice = await till.mine.post(f"/v1/payment-methods/{first}/detachments")

    assert (chosen.status_code, chosen.json()["kind"], chosen.json()["status"]) == (201, "default", "done")
    assert cards == {first: True, second: False}
    used = await till.stage.value("select payment_method_id from asked_payment")
    assert (paid.json()["status"], ids.show(ids.PAYMENT_METHOD, used)) == ("succeeded", first)
    assert gone.json()["status"] == "done"
    assert (await till.mine.one("/v1/payment-methods"))["id"] == second
    assert {c["status"] for c in await till.mine.data("/v1/payment-methods", include_detached=True)} == {
        "active",
        "detached",
    }
    assert (missing.status_code, missing.json()["code"]) == (422, "payment_method_missing")
    assert (twice.status_code, twice.json()["code"]) == (409, "payment_method_detached")


async def test_a_subscription_is_paid_with_its_own_card(till):
    first = await till.saved()
    second = await till.saved()
    subscription = await subscribed(till)

    answer = await till.ask(f"/v1/payment-methods/{second}/defaults", {"subscription": subscription})
    await till.hear()

    assert answer.status_code == 201, answer.text
    cards = {card["id"]: card["default_of_subscriptions"] for card in await till.mine.data("/v1/payment-methods")}
    assert cards == {first: [], second: [subscription]}
    stranger = await till.joined("bob@example.com")
    till.customer = stranger
    third = await till.saved()
    crossed = await till.mine.post(f"/v1/payment-methods/{third}/defaults", {"subscription": subscription})
    assert (crossed.status_code, crossed.json()["code"]) == (409, "subscription_of_another_customer")


async def test_a_guest_has_nothing_that_could_be_saved_for_him(till):
    await till.sandbox.done("POST", "/v1/payment_intents", {"amount": 5, "currency": "eur", "receipt_email": "g@x.org"})
    await till.hear()
    guest = (await till.mine.one("/v1/customers", gateway_ref="email:g@x.org"))["id"]

    answer = await till.mine.post("/v1/payment-methods", {"customer": guest, "return_url": BACK})

    assert (answer.status_code, answer.json()["code"]) == (409, "customer_not_at_gateway")


async def test_one_word_is_told_for_each_card_that_will_be_paid_with_and_each_of_its_ends(till):
    idle, first = await till.saved(), await till.saved()
    await till.ask(f"/v1/payment-methods/{first}/defaults", {})
    await till.hear()
    async with till.stage.db.tenant(till.stage.tenant_id) as tx:
        await tx.execute(
            "update payment_method set exp_year = 2030, exp_month = 6 where tenant_id = $1", till.stage.tenant_id
        )

    counts = [
        await warned(till, at)
        for at in (
            datetime(2030, 5, 31, 12, tzinfo=UTC),
            datetime(2030, 6, 1, 1, tzinfo=UTC),
            datetime(2030, 6, 2, 1, tzinfo=UTC),
            datetime(2030, 7, 1, 1, tzinfo=UTC),
        )
    ]
    async with till.stage.db.tenant(till.stage.tenant_id) as tx:
        await tx.execute("update payment_method set exp_year = 2031 where tenant_id = $1", till.stage.tenant_id)
    counts.append(await warned(till, datetime(2031, 6, 15, tzinfo=UTC)))

    assert counts == [0, 1, 1, 1, 2]
    told = await till.stage.rows(
        "select subject, payload from outbox where topic = 'payment_method.expires_soon' order by id"
    )
    assert {row["subject"] for row in told} == {first}
    assert idle not in {row["subject"] for row in told}


async def warned(till, at: datetime) -> int:
    """Do the daily job as of then; return how many words were told so far."""
    async with till.stage.db.tenant(till.stage.tenant_id) as tx:
        await jobs.enqueue(tx, tenant_id=till.stage.tenant_id, kind=WARN, key=at.isoformat())
    await Engine(Resources(till.stage.db, till.settings, now=lambda: at), Kinds(JOBS)).drain()
    return await till.stage.value("select count(*) from outbox where topic = 'payment_method.expires_soon'")


async def subscribed(till) -> str:
    """Let the customer subscribe at the gateway; return the subscription."""
    form = {"currency": "eur", "unit_amount": 900, "recurring": {"interval": "month"}, "product_data": {"name": "gym"}}
    price = (await till.sandbox.done("POST", "/v1/prices", form))["id"]
    owner = (await till.mine.get(f"/v1/customers/{till.customer}")).json()["gateway_ref"]
    card = (await till.mine.data("/v1/payment-methods"))[-1]["gateway_ref"]
    await till.sandbox.done(
        "POST", "/v1/subscriptions", {"customer": owner, "items": [{"price": price}], "default_payment_method": card}
    )
    await till.hear()
    return str((await till.mine.one("/v1/subscriptions"))["id"])
