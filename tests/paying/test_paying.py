"""Payments with a saved way to pay: taken once, granted once, declined with a reason, or confirmed by the customer."""

import pytest

from api.conftest import Caller
from bursar.kernel import ids
from draining import bring_forward
from paying.conftest import ASKED_ALWAYS, BACK, DECLINED_LATER

pytestmark = pytest.mark.anyio

_PREFIXES = {"customer": ids.CUSTOMER, "payment_method": ids.PAYMENT_METHOD}


async def test_a_payment_is_taken_once_and_grants_once_under_the_id_that_it_was_asked_by(till):
    method = await till.saved()

    first = await till.pay(method, once="k")
    again = await till.pay(method, once="k")
    await till.hear()
    await till.hear()

    taken = first.json()
    assert (first.status_code, taken["status"], taken["amount_minor"], taken["currency"]) == (
        201,
        "succeeded",
        4500,
        "EUR",
    )
    assert again.content == first.content
    assert await till.charges() == [("succeeded", 4500)]
    assert await till.credits() == [10]
    payment = await till.mine.one("/v1/payments")
    assert (payment["id"], payment["customer"], payment["status"]) == (taken["id"], till.customer, "succeeded")
    assert (await till.mine.get(first.headers["location"])).json() == payment
    told = await till.stage.rows("select topic from outbox where subject = $1", taken["id"])
    assert [row["topic"] for row in told] == ["payment.succeeded"]


async def test_a_declined_card_is_an_answer_with_its_reason_and_grants_nothing(till):
    method = await till.saved(DECLINED_LATER)

    answer = await till.pay(method, return_url=BACK)
    await till.hear()

    declined = answer.json()
    assert (answer.status_code, declined["status"], declined["failure_code"]) == (201, "failed", "generic_decline")
    assert (await till.mine.get(f"/v1/payments/{declined['id']}")).json()["status"] == "failed"
    assert await till.credits() == []
    assert await till.stage.value("select count(*) from mail_message") == 0


async def test_what_the_bank_wants_confirmed_waits_and_is_granted_once_the_customer_has_confirmed(till):
    method = await till.saved(ASKED_ALWAYS)

    asked = (await till.pay(method)).json()
    await till.hear()
    waiting = (await till.mine.get(f"/v1/payments/{asked['id']}")).json()
    page = await till.ask(f"/v1/payments/{asked['id']}/confirmations", {"return_url": BACK})
    url = page.json()["url"]
    confirmed = await till.sandbox.http.post(url, data={"answer": "complete"})
    await till.hear()

    assert (asked["status"], waiting["status"], waiting["failure_code"]) == (
        "requires_action",
        "requires_action",
        "authentication_required",
    )
    assert (page.status_code, page.json()["status"], page.json()["payment"]) == (201, "done", asked["id"])
    assert confirmed.status_code in (200, 303), confirmed.text
    assert (await till.mine.get(f"/v1/payments/{asked['id']}")).json()["status"] == "succeeded"
    assert await till.credits() == [10]
    assert (await till.mine.get(page.headers["location"])).json()["url"] is None


async def test_the_customer_whose_bank_asks_is_sent_one_link_and_pays_by_it(till):
    method = await till.saved(ASKED_ALWAYS)

    asked = (await till.pay(method, return_url=BACK, once="k")).json()
    await till.pay(method, return_url=BACK, once="k")
    await till.hear()
    letters = [*await till.posted(), *await till.posted()]
    change = await till.mine.one("/v1/payment-changes", payment=asked["id"])
    again = await till.ask(f"/v1/payments/{asked['id']}/confirmations", {"return_url": BACK})
    more = await till.posted()
    link = next(line for line in letters[0].text.splitlines() if line.startswith("http"))
    await till.sandbox.http.post(link, data={"answer": "complete"})
    await till.hear()

    assert asked["status"] == "requires_action"
    assert [(m.to, "45.00 EUR" in m.text) for m in letters] == [("ann@example.com", True)]
    assert (change["kind"], change["status"], change["letter"], change["url"]) == ("confirmation", "done", "sent", None)
    assert again.status_code == 201
    assert more == []
    assert await till.stage.value("select email from mail_message") == ""
    assert (await till.mine.get(f"/v1/payments/{asked['id']}")).json()["status"] == "succeeded"
    assert await till.credits() == [10]


async def test_a_payment_that_waits_can_be_given_up_and_a_letter_about_it_is_not_sent(till):
    method = await till.saved(ASKED_ALWAYS)
    asked = (await till.pay(method, return_url=BACK)).json()
    await till.hear()

    ended = await till.ask(f"/v1/payments/{asked['id']}/cancellations")
    await till.hear()
    late = await till.ask(f"/v1/payments/{asked['id']}/confirmations", {"return_url": BACK})

    assert (ended.status_code, ended.json()["kind"], ended.json()["status"]) == (201, "cancellation", "done")
    assert (await till.mine.get(f"/v1/payments/{asked['id']}")).json()["status"] == "canceled"
    assert (late.status_code, late.json()["code"]) == (409, "payment_state_refuses")
    assert await till.posted() == []
    assert await till.stage.value("select dropped from mail_message") == "nobody to write to"


@pytest.mark.parametrize("till", [0.3], indirect=True)
async def test_an_answer_that_is_lost_is_not_a_second_charge(till):
    method = await till.saved()
    await till.sandbox.control("misbehave", {"lose": 1})

    asked = await till.pay(method, once="k")
    await till.sandbox.control("behave", {})
    await till.hear()  # The gateway's own report comes before anybody knows what became of the call.
    await bring_forward(till.stage)
    again = await till.pay(method, once="k")
    await till.hear()

    assert (asked.status_code, asked.json()["status"], asked.json()["gateway_ref"]) == (202, "pending", None)
    assert (again.status_code, again.json()["status"], again.json()["id"]) == (201, "succeeded", asked.json()["id"])
    assert await till.charges() == [("succeeded", 4500)]
    assert await till.credits() == [10]
    assert (await till.mine.one("/v1/payments"))["id"] == asked.json()["id"]


async def test_an_id_of_ours_beside_another_payment_takes_nothing(till):
    method = await till.saved()
    taken = (await till.pay(method)).json()
    customer = (await till.mine.get(f"/v1/customers/{till.customer}")).json()["gateway_ref"]
    form = {"amount": 100, "currency": "eur", "customer": customer, "metadata": {"bursar_payment": taken["id"]}}
    await till.sandbox.done("POST", "/v1/payment_intents", form)

    await till.hear()

    payments = {p["id"]: p["amount_minor"] for p in await till.mine.data("/v1/payments")}
    assert payments.pop(taken["id"]) == 4500
    assert list(payments.values()) == [100]


async def test_a_sum_without_a_price_is_taken_and_waits_to_be_assigned(till):
    method = await till.saved()

    taken = (await till.pay(method, price=None, amount_minor=700, currency="EUR")).json()
    await till.hear()

    assert (taken["status"], taken["amount_minor"]) == ("succeeded", 700)
    assert (await till.mine.one("/v1/unmatched-payments"))["id"] == taken["id"]


async def test_what_cannot_be_taken_is_refused_with_what_to_do_and_nothing_is_written(till):
    good, gone = await till.saved(), await till.saved()
    await till.ask(f"/v1/payment-methods/{gone}/detachments")
    await till.hear()
    old = await till.saved()
    other = await till.joined("bob@example.com")
    async with till.stage.db.tenant(till.stage.tenant_id) as tx:
        await tx.execute(
            "update payment_method set exp_year = 2020 where tenant_id = $1 and id = $2",
            *(till.stage.tenant_id, ids.parse(ids.PAYMENT_METHOD, old)),
        )
    tables = ("asked_payment", "customer_order", "job")
    before = [await till.stage.value(f"select count(*) from {table}") for table in tables]

    unknown = {name: ids.show(prefix, ids.new()) for name, prefix in _PREFIXES.items()}
    told = []
    for change in (
        {"customer": unknown["customer"]},
        {"payment_method": unknown["payment_method"]},
        {"price": "nobody"},
        {"price": "membership"},
        {"payment_method": gone},
        {"payment_method": old},
        {"customer": other},
        {"payment_method": None},
        {"price": None},
        {"amount_minor": 5},
        {"price": None, "amount_minor": 5},
        {"price": None, "amount_minor": 0, "currency": "EUR"},
        {"return_url": "javascript:alert(1)"},
        {"quantity": 0},
    ):
        wanted = {"customer": till.customer, "payment_method": good, "price": "ten"} | change
        answer = await till.mine.post("/v1/payments", {k: v for k, v in wanted.items() if v is not None})
        told.append((answer.status_code, answer.json()["code"]))
        assert answer.json().get("hint") or answer.json().get("errors"), answer.text

    assert told == [
        (404, "customer_not_found"),
        (404, "payment_method_not_found"),
        (404, "price_not_found"),
        (422, "payment_price_unfit"),
        (409, "payment_method_detached"),
        (409, "payment_method_expired"),
        (409, "payment_method_of_another_customer"),
        (422, "payment_method_missing"),
        *[(422, "invalid")] * 6,
    ]
    assert [await till.stage.value(f"select count(*) from {table}") for table in tables] == before


async def test_an_account_that_cannot_be_asked_is_refused_before_anything_is_written(till):
    method = await till.saved()
    wanted = {"customer": till.customer, "payment_method": method, "price": "ten"}
    new = {"customer": till.customer, "return_url": BACK}
    told = []
    for change in ("api_key = null", "gateway = 'manual'", "gateway = 'dodo'"):
        async with till.stage.db.tenant(till.stage.tenant_id) as tx:
            await tx.execute(f"update gateway_account set {change} where tenant_id = $1", till.stage.tenant_id)
        for path, body in (("/v1/payments", wanted), ("/v1/payment-methods", new | {"gateway_ref": "pm_x"})):
            answer = await till.mine.post(path, body)
            told.append((answer.status_code, answer.json()["code"]))
            assert answer.json()["hint"]

    assert told == [(409, "gateway_key_missing")] * 2 + [(422, "operation_unsupported")] * 4
    assert await till.stage.value("select count(*) from gateway_call") == 0


async def test_somebody_else_neither_pays_with_it_nor_sees_it(till):
    method = await till.saved(ASKED_ALWAYS)
    asked = (await till.pay(method, return_url=BACK)).json()
    await till.hear()
    change = (await till.mine.one("/v1/payment-changes"))["id"]
    theirs = till.theirs

    crossing = await theirs.post(
        "/v1/payments", {"customer": till.customer, "payment_method": method, "price": "pack-10"}
    )
    assert (crossing.status_code, crossing.json()["code"]) == (404, "customer_not_found")
    for path in (f"/v1/payments/{asked['id']}", f"/v1/payment-changes/{change}", f"/v1/payment-methods/{method}"):
        assert (await theirs.get(path)).status_code == 404
    for path in ("confirmations", "cancellations"):
        answer = await theirs.post(
            f"/v1/payments/{asked['id']}/{path}", {"return_url": BACK} if path[1] == "o" else None
        )
        assert answer.status_code == 404
    for path in ("/v1/payment-changes", "/v1/payment-methods", "/v1/payment-method-changes"):
        assert await theirs.data(path) == []


async def test_whoever_may_only_read_does_not_see_the_links(till):
    method = await till.saved(ASKED_ALWAYS)
    await till.pay(method, return_url=BACK)
    await till.hear()
    change = (await till.mine.one("/v1/payment-changes"))["id"]
    key = await till.mine.post("/v1/api-keys", {"name": "reader", "scopes": ["payments:read"]})
    reader = Caller(till.stage, key.json()["key"], till.mine.http)

    assert (await till.mine.get(f"/v1/payment-changes/{change}")).json()["url"].startswith(till.sandbox.url)
    assert (await reader.get(f"/v1/payment-changes/{change}")).json()["url"] is None


async def test_nothing_is_taken_from_who_is_deleted_or_erased(till):
    deleted = await till.saved()
    gone = await till.mine.send("DELETE", f"/v1/customers/{till.customer}")
    assert gone.status_code < 300, gone.text
    refused = [await till.pay(deleted)]
    till.customer = await till.joined("bob@example.com")
    erased = await till.saved()
    assert (await till.mine.post(f"/v1/customers/{till.customer}/erasures", {"ground": "requested"})).status_code == 202
    await till.stage.apply()
    refused.append(await till.pay(erased))

    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(409, "customer_gone")] * 2
    assert await till.charges() == []
