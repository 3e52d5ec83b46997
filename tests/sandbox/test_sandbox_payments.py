"""Payments through the sandbox as Stripe's server would do them."""

import asyncio
from datetime import UTC, datetime

import pytest

from bursar.money.gateways import gateway
from sandboxing import SECRET, Sandbox, inbox


async def test_a_payment_is_taken_and_tells_its_story(sandbox: Sandbox) -> None:
    intent = await sandbox.done(
        "POST",
        "/v1/payment_intents",
        {"amount": 1500, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True, "metadata": {"a": "b"}},
    )

    assert (intent["status"], intent["amount_received"], intent["metadata"]) == ("succeeded", 1500, {"a": "b"})
    charge = await sandbox.done(
        "GET", f"/v1/charges/{intent['latest_charge']}", {"expand": ["balance_transaction", "payment_intent"]}
    )
    assert (charge["status"], charge["captured"], charge["payment_intent"]["id"]) == ("succeeded", True, intent["id"])
    assert (charge["balance_transaction"]["amount"], charge["balance_transaction"]["fee"]) == (1500, 48)
    assert await sandbox.told() == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]


@pytest.mark.parametrize(
    ("token", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", None),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", None),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", None),
    ],
)
async def test_a_declined_card_says_why_and_leaves_the_attempt(
    sandbox: Sandbox, token: str, code: str, decline_code: str | None
) -> None:
    answer = await sandbox.ask(
        "POST",
        "/v1/payment_intents",
        {"amount": 1500, "currency": "eur", "payment_method": token, "confirm": True},
    )

    error = answer.json()["error"]
    assert (answer.status_code, error["type"], error["code"]) == (402, "card_error", code)
    assert error.get("decline_code") == decline_code
    assert error["payment_intent"]["status"] == "requires_payment_method"
    charge = await sandbox.done("GET", f"/v1/charges/{error['charge']}")
    assert (charge["status"], charge["paid"], charge["failure_code"]) == ("failed", False, code)
    assert await sandbox.told() == ["payment_intent.created", "charge.failed", "payment_intent.payment_failed"]


async def test_partial_refunds_in_parallel_never_exceed_what_was_captured(sandbox: Sandbox) -> None:
    paid = await sandbox.done(
        "POST",
        "/v1/payment_intents",
        {"amount": 1000, "currency": "eur", "payment_method": "pm_card_visa", "confirm": True},
    )

    answers = await asyncio.gather(
        *(
            sandbox.ask("POST", "/v1/refunds", {"payment_intent": paid["id"], "amount": 150}, idempotency_key=f"k{n}")
            for n in range(20)
        )
    )

    assert sorted(answer.status_code for answer in answers) == [200] * 6 + [400] * 14
    charge = await sandbox.done("GET", f"/v1/charges/{paid['latest_charge']}")
    assert (charge["amount_refunded"], charge["refunded"]) == (900, False)
    assert {answer.json()["error"]["code"] for answer in answers if answer.status_code == 400} == {"amount_too_large"}


async def test_webhooks_are_signed_and_repeated_until_they_are_taken(sandbox: Sandbox) -> None:
    async with inbox() as box:
        box.answers = [500, 200]
        await sandbox.control("accounts", {"key": sandbox.key, "deliver_to": box.url, "secret": SECRET})
        await sandbox.done("POST", "/v1/customers", {"email": "ann@example.com"})
        await sandbox.until_attempted(1)
        await sandbox.advance(10)
        (log,) = await sandbox.until_attempted(2)
        events = box.events()

    assert [event["type"] for event in events] == ["customer.created", "customer.created"]
    assert events[0]["id"] == events[1]["id"]
    headers, body = box.received[1]
    gateway("stripe").verify(headers=headers, body=body, secrets=[SECRET], now=datetime.now(UTC), tolerance_s=300)
    assert (log["state"], [attempt["status"] for attempt in log["log"]]) == ("taken", [500, 200])
