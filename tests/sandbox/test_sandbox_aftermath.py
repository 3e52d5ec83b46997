"""What comes later: disputes, refunds that fail, bank debits, sessions that expire; by the clock."""

import pytest

from sandboxing import Sandbox

DAY_S = 86_400


async def pay(sandbox: Sandbox, token: str) -> dict[str, str]:
    form = {"amount": 2000, "currency": "eur", "payment_method": token, "confirm": True}
    paid: dict[str, str] = await sandbox.done("POST", "/v1/payment_intents", form)
    return paid


async def money(sandbox: Sandbox) -> list[tuple[str, int, int]]:
    """Return what moved, oldest first."""
    page = await sandbox.done("GET", "/v1/balance_transactions", {"limit": 100})
    return [(entry["type"], entry["amount"], entry["fee"]) for entry in reversed(page["data"])]


@pytest.mark.parametrize(
    ("said", "status", "moved"),
    [
        ("winning_evidence", "won", [("adjustment", -2000, 2000), ("adjustment", 2000, 0)]),
        ("losing_evidence", "lost", [("adjustment", -2000, 2000)]),
        ("We shipped it.", "under_review", [("adjustment", -2000, 2000)]),
    ],
)
async def test_evidence_decides_a_dispute(
    sandbox: Sandbox, said: str, status: str, moved: list[tuple[str, int, int]]
) -> None:
    paid = await pay(sandbox, "pm_card_createDispute")
    await sandbox.advance(60)
    dispute = (await sandbox.done("GET", "/v1/disputes", {"payment_intent": paid["id"]}))["data"][0]

    answered = await sandbox.done("POST", f"/v1/disputes/{dispute['id']}", {"evidence": {"uncategorized_text": said}})

    assert (dispute["status"], dispute["reason"], answered["status"]) == ("needs_response", "fraudulent", status)
    assert await money(sandbox) == [("charge", 2000, 55), *moved]
    refused = await sandbox.ask("POST", "/v1/refunds", {"payment_intent": paid["id"]})
    assert refused.json()["error"]["code"] == "charge_disputed"


async def test_a_dispute_that_nobody_answers_is_lost_and_an_inquiry_takes_nothing(sandbox: Sandbox) -> None:
    await pay(sandbox, "pm_card_createDispute")
    await pay(sandbox, "pm_card_createDisputeInquiry")

    await sandbox.advance(20 * DAY_S)

    found = (await sandbox.done("GET", "/v1/disputes"))["data"]
    assert sorted((one["status"], len(one["balance_transactions"])) for one in found) == [
        ("lost", 1),
        ("warning_closed", 0),
    ]
    told = await sandbox.told()
    assert told.count("charge.dispute.closed") == 2
    assert told.count("charge.dispute.funds_withdrawn") == 1


@pytest.mark.parametrize(
    ("token", "before", "after", "left"),
    [
        ("pm_card_pendingRefund", "pending", "succeeded", 2000),
        ("pm_card_refundFail", "succeeded", "failed", 0),
        ("pm_card_visa", "succeeded", "succeeded", 2000),
    ],
)
async def test_a_refund_ends_as_its_card_says(sandbox: Sandbox, token: str, before: str, after: str, left: int) -> None:
    paid = await pay(sandbox, token)
    refund = await sandbox.done("POST", "/v1/refunds", {"payment_intent": paid["id"]})

    await sandbox.advance(7 * DAY_S)

    found = await sandbox.done("GET", f"/v1/refunds/{refund['id']}", {"expand": ["charge"]})
    assert (refund["status"], found["status"], found["charge"]["amount_refunded"]) == (before, after, left)
    assert sum(amount for _, amount, _ in await money(sandbox)) == 2000 - left


@pytest.mark.parametrize(
    ("iban", "status", "told"),
    [
        ("AT611904300234573201", "succeeded", "payment_intent.succeeded"),
        ("AT861904300235473202", "requires_payment_method", "payment_intent.payment_failed"),
    ],
)
async def test_a_bank_debit_arrives_or_fails_days_later(sandbox: Sandbox, iban: str, status: str, told: str) -> None:
    data = {"type": "sepa_debit", "sepa_debit": {"iban": iban}}
    form = {"amount": 2000, "currency": "eur", "payment_method_data": data, "confirm": True}
    intent = await sandbox.done("POST", "/v1/payment_intents", form)

    await sandbox.advance(4 * DAY_S)

    found = await sandbox.done("GET", f"/v1/payment_intents/{intent['id']}")
    assert (intent["status"], found["status"]) == ("processing", status)
    events = (await sandbox.done("GET", "/v1/events", {"type": told}))["data"]
    assert [event["created"] - intent["created"] for event in events] == [3 * DAY_S]


async def test_a_session_expires_when_its_time_is_over_and_not_before(sandbox: Sandbox) -> None:
    line = {"price_data": {"currency": "eur", "unit_amount": 1500, "product_data": {"name": "Single class"}}}
    form = {"mode": "payment", "line_items": [line], "success_url": "https://example.com/done"}
    session = await sandbox.done("POST", "/v1/checkout/sessions", form)

    await sandbox.advance(DAY_S - 600)
    before = await sandbox.done("GET", f"/v1/checkout/sessions/{session['id']}")
    await sandbox.advance(700)
    after = await sandbox.done("GET", f"/v1/checkout/sessions/{session['id']}")

    assert (before["status"], after["status"], after["url"]) == ("open", "expired", None)
    assert (await sandbox.told())[-1] == "checkout.session.expired"
