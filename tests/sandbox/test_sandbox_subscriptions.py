"""Subscriptions in the sandbox: begun, changed, renewed by the clock, and ended."""

import time
from datetime import datetime
from typing import Any

import pytest

from bursar.sandbox.periods import next_end
from sandboxing import Sandbox

DAY_S = 86_400


async def priced(sandbox: Sandbox, amount: int, *, interval: str = "month") -> str:
    form = {
        "currency": "eur",
        "unit_amount": amount,
        "recurring": {"interval": interval},
        "product_data": {"name": f"Plan of {amount}"},
    }
    return str((await sandbox.done("POST", "/v1/prices", form))["id"])


async def subscriber(sandbox: Sandbox, token: str = "pm_card_visa") -> str:
    customer = await sandbox.done("POST", "/v1/customers", {"email": "ann@example.com"})
    method = await sandbox.done("POST", f"/v1/payment_methods/{token}/attach", {"customer": customer["id"]})
    settings = {"invoice_settings": {"default_payment_method": method["id"]}}
    await sandbox.done("POST", f"/v1/customers/{customer['id']}", settings)
    return str(customer["id"])


async def subscribe(sandbox: Sandbox, amount: int = 3000, token: str = "pm_card_visa", **more: Any) -> dict[str, Any]:
    form = {"customer": await subscriber(sandbox, token), "items": [{"price": await priced(sandbox, amount)}], **more}
    made: dict[str, Any] = await sandbox.done("POST", "/v1/subscriptions", form)
    return made


async def found(sandbox: Sandbox, ref: str) -> dict[str, Any]:
    one: dict[str, Any] = await sandbox.done("GET", f"/v1/subscriptions/{ref}")
    return one


async def bills(sandbox: Sandbox, ref: str) -> list[tuple[str, str, int]]:
    """Return the subscription's invoices, oldest first."""
    page = await sandbox.done("GET", "/v1/invoices", {"subscription": ref})
    return [(one["billing_reason"], one["status"], one["total"]) for one in reversed(page["data"])]


async def test_a_subscription_is_paid_at_once_and_renewed_by_the_calendar(sandbox: Sandbox) -> None:
    made = await subscribe(sandbox, metadata={"bursar_price": "gold"})

    await sandbox.advance(63 * DAY_S)

    now = await found(sandbox, made["id"])
    item = now["items"]["data"][0]
    assert (made["status"], now["status"]) == ("active", "active")
    assert item["current_period_start"] > made["items"]["data"][0]["current_period_end"]
    assert await bills(sandbox, made["id"]) == [
        ("subscription_create", "paid", 3000),
        ("subscription_cycle", "paid", 3000),
        ("subscription_cycle", "paid", 3000),
    ]
    last = await sandbox.done("GET", f"/v1/invoices/{now['latest_invoice']}", {"expand": ["payments"]})
    assert last["parent"]["subscription_details"]["metadata"] == {"bursar_price": "gold"}
    assert last["payments"]["data"][0]["payment"]["payment_intent"].startswith("pi_")
    events = await sandbox.done("GET", "/v1/events", {"type": "invoice.paid"})
    assert len(events["data"]) == 1, "events are kept for thirty days"


@pytest.mark.parametrize(
    ("begun", "every", "after", "end"),
    [
        ("2026-01-31", ("month", 1), "2026-01-31", "2026-02-28"),
        ("2026-01-31", ("month", 1), "2026-02-28", "2026-03-31"),
        ("2024-02-29", ("year", 1), "2024-02-29", "2025-02-28"),
        ("2024-02-29", ("year", 1), "2027-03-01", "2028-02-29"),
        ("2026-01-01", ("week", 2), "2026-02-20", "2026-02-26"),
        ("2026-01-15", ("month", 3), "2036-01-14", "2036-01-15"),
    ],
)
def test_a_period_ends_on_the_anchors_day_or_the_months_last(
    begun: str, every: tuple[str, int], after: str, end: str
) -> None:
    def at(day: str) -> int:
        return int(datetime.fromisoformat(f"{day}T12:00:00+00:00").timestamp())

    assert next_end(at(begun), {"interval": every[0], "interval_count": every[1]}, at(after)) == at(end)


async def test_a_renewal_that_fails_is_tried_again_and_ends_the_subscription(sandbox: Sandbox) -> None:
    made = await subscribe(sandbox, trial_period_days=7)
    bad = await sandbox.done(
        "POST", "/v1/payment_methods/pm_card_chargeCustomerFail/attach", {"customer": made["customer"]}
    )
    await sandbox.done("POST", f"/v1/subscriptions/{made['id']}", {"default_payment_method": bad["id"]})

    await sandbox.advance(8 * DAY_S)
    late = await found(sandbox, made["id"])
    await sandbox.advance(20 * DAY_S)

    ended = await found(sandbox, made["id"])
    assert (made["status"], late["status"], ended["status"]) == ("trialing", "past_due", "canceled")
    assert ended["cancellation_details"]["reason"] == "payment_failed"
    told = await sandbox.told()
    assert told.count("invoice.payment_failed") == 4
    assert told.count("customer.subscription.trial_will_end") == 1
    assert told[-1] == "customer.subscription.deleted"


@pytest.mark.parametrize(
    ("behaviour", "status", "code"), [("allow_incomplete", "incomplete", 200), ("error_if_incomplete", None, 402)]
)
async def test_a_first_payment_that_fails_leaves_it_incomplete_or_nothing(
    sandbox: Sandbox, behaviour: str, status: str | None, code: int
) -> None:
    customer = await subscriber(sandbox, "pm_card_chargeCustomerFail")
    form = {
        "customer": customer,
        "items": [{"price": await priced(sandbox, 3000)}],
        "payment_behavior": behaviour,
    }

    answer = await sandbox.ask("POST", "/v1/subscriptions", form)

    assert answer.status_code == code
    listed = (await sandbox.done("GET", "/v1/subscriptions", {"customer": customer}))["data"]
    assert [one["status"] for one in listed] == ([status] if status else [])
    await sandbox.advance(DAY_S)
    listed = (await sandbox.done("GET", "/v1/subscriptions", {"customer": customer, "status": "all"}))["data"]
    assert [one["status"] for one in listed] == (["incomplete_expired"] if status else [])


async def test_an_upgrade_is_prorated_by_the_second_as_it_was_previewed(sandbox: Sandbox) -> None:
    made = await subscribe(sandbox, 3000)
    item = made["items"]["data"][0]
    dearer = await priced(sandbox, 9000)
    await sandbox.advance(10 * DAY_S)
    at = (await sandbox.control(""))["now"]
    change = {"items": [{"id": item["id"], "price": dearer}], "proration_date": at}
    billed = {**change, "proration_behavior": "always_invoice"}

    preview = await sandbox.done(
        "POST", "/v1/invoices/create_preview", {"subscription": made["id"], "subscription_details": billed}
    )
    updated = await sandbox.done(
        "POST", f"/v1/subscriptions/{made['id']}", billed | {"expand": ["latest_invoice.payments"]}
    )

    whole, left = item["current_period_end"] - item["current_period_start"], item["current_period_end"] - at
    credit, debit = (2 * 3000 * left + whole) // (2 * whole), (2 * 9000 * left + whole) // (2 * whole)
    assert [line["amount"] for line in preview["lines"]["data"]] == [-credit, debit]
    assert preview["amount_due"] == debit - credit
    assert updated["latest_invoice"]["amount_paid"] == debit - credit
    assert (updated["items"]["data"][0]["price"]["id"], updated["status"]) == (dearer, "active")
    assert updated["items"]["data"][0]["current_period_end"] == item["current_period_end"]


async def test_a_downgrade_waits_for_the_next_invoice_and_credit_pays_first(sandbox: Sandbox) -> None:
    made = await subscribe(sandbox, 9000)
    item = made["items"]["data"][0]
    cheaper = await priced(sandbox, 1000)

    await sandbox.done("POST", f"/v1/subscriptions/{made['id']}", {"items": [{"id": item["id"], "price": cheaper}]})
    await sandbox.advance(item["current_period_end"] - made["created"] + 2 * 3600)

    renewed = (await bills(sandbox, made["id"]))[1]
    customer = await sandbox.done("GET", f"/v1/customers/{made['customer']}")
    assert renewed == ("subscription_cycle", "paid", 1000 - 9000 + 1000)
    assert customer["balance"] == -7000


async def test_another_interval_begins_a_new_period_with_its_whole_price(sandbox: Sandbox) -> None:
    made = await subscribe(sandbox, 3000)
    yearly = await priced(sandbox, 30000, interval="year")

    change = {"items": [{"id": made["items"]["data"][0]["id"], "price": yearly}]}
    updated = await sandbox.done("POST", f"/v1/subscriptions/{made['id']}", change | {"expand": ["latest_invoice"]})

    item = updated["items"]["data"][0]
    assert 365 <= (item["current_period_end"] - item["current_period_start"]) // DAY_S <= 366
    assert [line["amount"] for line in updated["latest_invoice"]["lines"]["data"]] == [-3000, 30000]


async def test_it_ends_with_the_period_unless_it_is_taken_back(sandbox: Sandbox) -> None:
    first, second = await subscribe(sandbox), await subscribe(sandbox)
    for one in (first, second):
        await sandbox.done("POST", f"/v1/subscriptions/{one['id']}", {"cancel_at_period_end": True})
    await sandbox.done("POST", f"/v1/subscriptions/{second['id']}", {"cancel_at_period_end": False})

    await sandbox.advance(32 * DAY_S)

    ended, renewed = await found(sandbox, first["id"]), await found(sandbox, second["id"])
    assert (ended["status"], renewed["status"]) == ("canceled", "active")
    assert ended["ended_at"] == first["items"]["data"][0]["current_period_end"]


async def test_a_pause_stops_periods_and_a_resumption_begins_a_new_one(sandbox: Sandbox) -> None:
    made = await subscribe(sandbox)
    paused = await sandbox.done("POST", f"/v1/subscriptions/{made['id']}/pause", {})
    await sandbox.advance(70 * DAY_S)

    resumed = await sandbox.done("POST", f"/v1/subscriptions/{made['id']}/resume", {})

    assert (paused["status"], resumed["status"]) == ("paused", "active")
    assert len(await bills(sandbox, made["id"])) == 2
    assert resumed["items"]["data"][0]["current_period_start"] - made["created"] >= 70 * DAY_S


async def test_a_trial_can_be_longer_and_cancelling_now_gives_back_what_is_left(sandbox: Sandbox) -> None:
    trial = await subscribe(sandbox, trial_period_days=7)
    until = trial["trial_end"] + 7 * DAY_S
    extended = await sandbox.done("POST", f"/v1/subscriptions/{trial['id']}", {"trial_end": until})
    paid = await subscribe(sandbox, 3000)

    ended = await sandbox.done("DELETE", f"/v1/subscriptions/{paid['id']}", {"prorate": True, "invoice_now": True})

    assert (extended["status"], extended["trial_end"]) == ("trialing", until)
    assert extended["items"]["data"][0]["current_period_end"] == until
    customer = await sandbox.done("GET", f"/v1/customers/{paid['customer']}")
    assert (ended["status"], -3000 <= customer["balance"] < -2990) == ("canceled", True)


@pytest.mark.parametrize(
    ("number", "status", "paid"),
    [("4242424242424242", "complete", "active"), ("4000000000000341", "open", "incomplete")],
)
async def test_somebody_subscribes_on_the_hosted_page(sandbox: Sandbox, number: str, status: str, paid: str) -> None:
    form = {
        "mode": "subscription",
        "line_items": [{"price": await priced(sandbox, 3000), "quantity": 2}],
        "subscription_data": {"metadata": {"bursar_order": "chk_1"}},
        "success_url": "https://example.com/done",
    }
    session = await sandbox.done("POST", "/v1/checkout/sessions", form)
    typed = {"email": "ann@example.com", "method": "card", "number": number, "expiry": "12/34", "cvc": "123"}

    for _ in range(2):
        page = await sandbox.http.post(f"/c/pay/{session['id']}", data=typed)

    assert page.status_code == (303 if status == "complete" else 402)
    done = await sandbox.done("GET", f"/v1/checkout/sessions/{session['id']}", {"expand": ["line_items"]})
    listed = (await sandbox.done("GET", "/v1/subscriptions"))["data"]
    assert (done["status"], done["line_items"]["data"][0]["amount_total"]) == (status, 6000)
    assert [(one["status"], one["metadata"]) for one in listed] == [(paid, {"bursar_order": "chk_1"})]
    assert done["subscription"] == (listed[0]["id"] if status == "complete" else None)


async def test_an_address_that_the_seller_gave_is_shown_and_not_changed_on_the_hosted_page(sandbox: Sandbox) -> None:
    form = {
        "mode": "payment",
        "customer_email": "ann@example.com",
        "line_items": [
            {"price_data": {"currency": "eur", "unit_amount": 1500, "product_data": {"name": "Seat"}}, "quantity": 1}
        ],
        "success_url": "https://example.com/done",
    }
    session = await sandbox.done("POST", "/v1/checkout/sessions", form)
    path = f"/c/pay/{session['id']}"
    typed = {
        "email": "bob@example.com",
        "method": "card",
        "number": "4242424242424242",
        "expiry": "12/34",
        "cvc": "123",
    }

    shown = await sandbox.http.get(path)
    paid = await sandbox.http.post(path, data=typed)

    assert ("ann@example.com" in shown.text, 'name="email"' in shown.text, paid.status_code) == (True, False, 303)
    done = await sandbox.done("GET", f"/v1/checkout/sessions/{session['id']}")
    assert done["customer_details"]["email"] == "ann@example.com"


async def test_a_customer_ends_and_keeps_a_subscription_on_his_own_page(sandbox: Sandbox) -> None:
    made = await subscribe(sandbox)
    link = await sandbox.done("POST", "/v1/billing_portal/sessions", {"customer": made["customer"]})

    page = await sandbox.http.get(link["url"])
    await sandbox.http.post(link["url"], data={"subscription": made["id"], "act": "cancel"})
    ending = await found(sandbox, made["id"])
    await sandbox.http.post(link["url"], data={"subscription": made["id"], "act": "keep"})
    kept = await found(sandbox, made["id"])
    stranger = await sandbox.http.get(link["url"][:-1])

    assert (page.status_code, "30.00 EUR" in page.text, stranger.status_code) == (200, True, 404)
    assert (ending["cancel_at_period_end"], kept["cancel_at_period_end"]) == (True, False)


async def test_a_caller_whose_clock_stayed_behind_is_understood(sandbox: Sandbox) -> None:
    made = await subscribe(sandbox)
    at = int(time.time())
    await sandbox.advance(40 * DAY_S)
    details = {"items": [{"id": made["items"]["data"][0]["id"], "quantity": 2}], "proration_date": at + 60}
    line = {"price_data": {"currency": "eur", "unit_amount": 1500, "product_data": {"name": "Single class"}}}
    form = {"mode": "payment", "line_items": [line], "success_url": "https://example.com/", "expires_at": at + 3600}

    preview = await sandbox.done(
        "POST", "/v1/invoices/create_preview", {"subscription": made["id"], "subscription_details": details}
    )
    session = await sandbox.done("POST", "/v1/checkout/sessions", form)

    assert len(preview["lines"]["data"]) == 3
    assert abs(session["expires_at"] - at - 3600 - 40 * DAY_S) < 60
