"""The official SDK, pointed at the sandbox and otherwise unchanged."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import stripe

from sandboxing import KEY, Sandbox, sandbox_at

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # the SDK's own way to send a form


@pytest.fixture
async def client(sandbox: Sandbox) -> AsyncIterator[stripe.StripeClient]:
    http = stripe.HTTPXClient(timeout=10)
    made = stripe.StripeClient(
        KEY, base_addresses={"api": sandbox.url, "files": sandbox.url}, http_client=http, max_network_retries=0
    )
    yield made
    await http.close_async()


async def test_the_sdk_pays_refunds_and_lists(client: stripe.StripeClient) -> None:
    customer = await client.v1.customers.create_async({"email": "ann@example.com", "metadata": {"a": "b"}})
    method = await client.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    paid = await client.v1.payment_intents.create_async(
        {
            "amount": 1500,
            "currency": "eur",
            "customer": customer.id,
            "payment_method": method.id,
            "confirm": True,
            "off_session": True,
            "expand": ["latest_charge.balance_transaction"],
        }
    )
    refund = await client.v1.refunds.create_async({"payment_intent": paid.id, "amount": 500})
    charges = [charge async for charge in (await client.v1.charges.list_async({"limit": 1})).auto_paging_iter()]

    assert (paid.status, paid.latest_charge.balance_transaction.fee) == ("succeeded", 48)
    assert (refund.status, refund.amount) == ("succeeded", 500)
    assert [(charge.id, charge.amount_refunded) for charge in charges] == [(paid.latest_charge.id, 500)]
    assert paid.last_response.headers["request-id"].startswith("req_")


async def test_the_sdk_reads_the_errors(client: stripe.StripeClient) -> None:
    form = {"amount": 1500, "currency": "eur", "payment_method": "pm_card_chargeDeclined", "confirm": True}

    with pytest.raises(stripe.CardError) as declined:
        await client.v1.payment_intents.create_async(form)
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        await client.v1.payment_intents.retrieve_async("pi_nobody")
    with pytest.raises(stripe.InvalidRequestError) as misspelt:
        await client.v1.customers.create_async({"emial": "ann@example.com"})
    assert (declined.value.code, declined.value.error.decline_code) == ("card_declined", "generic_decline")
    assert declined.value.error.payment_intent.status == "requires_payment_method"
    assert (unknown.value.code, unknown.value.http_status) == ("resource_missing", 404)
    with pytest.raises(stripe.InvalidRequestError) as inside:
        await client.v1.customers.create_async({"invoice_settings": {"footr": "x"}})

    assert (inside.value.code, inside.value.param) == ("parameter_unknown", "invoice_settings[footr]")
    assert (misspelt.value.code, misspelt.value.param) == ("parameter_unknown", "emial")


async def test_a_key_repeats_the_answer_and_is_refused_for_another_request(
    client: stripe.StripeClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    form = {"amount": 1500, "currency": "eur", "payment_method": "pm_card_chargeDeclined", "confirm": True}
    once = {"idempotency_key": "one"}

    for _ in range(2):
        with pytest.raises(stripe.CardError) as declined:
            await client.v1.payment_intents.create_async(form, once)
    with pytest.raises(stripe.IdempotencyError):
        await client.v1.payment_intents.create_async(form | {"amount": 1600}, once)
    first = await client.v1.customers.create_async({"name": "Ann"}, {"idempotency_key": "two"})
    async with sandbox_at(tmp_path) as again:
        later = await again.ask("POST", "/v1/customers", {"name": "Ann"}, idempotency_key="two")

    assert declined.value.headers["idempotent-replayed"] == "true"
    assert len((await sandbox.done("GET", "/v1/payment_intents"))["data"]) == 1
    assert (later.json()["id"], later.headers["idempotent-replayed"]) == (first.id, "true")


async def test_keys_that_are_none_and_versions_of_old_are_refused(sandbox: Sandbox) -> None:
    wrong = await sandbox.ask("GET", "/v1/customers", key="sk_live_0123456789abcdef")
    old = await sandbox.ask("GET", "/v1/customers", **{"stripe-version": "2020-08-27"})

    assert (wrong.status_code, wrong.json()["error"]["type"]) == (401, "invalid_request_error")
    assert old.status_code == 400


async def test_one_key_sees_nothing_of_another(sandbox: Sandbox) -> None:
    made = await sandbox.done("POST", "/v1/customers", {"name": "Ann"})

    other = "sk_test_of_the_second_business"
    found = await sandbox.ask("GET", f"/v1/customers/{made['id']}", key=other)
    listed = await sandbox.done("GET", "/v1/customers", key=other)

    assert (found.status_code, listed["data"]) == (404, [])
