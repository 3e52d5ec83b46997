"""The hosted checkout in a real browser, on a phone, without JavaScript."""

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from bursar.sandbox.cards import CARDS
from sandboxing import Sandbox

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed: apt-get install chromium"),
]


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield launched
        await launched.close()


@asynccontextmanager
async def phone(browser: Browser) -> AsyncIterator[tuple[Page, list[str]]]:
    context = await browser.new_context(viewport={"width": 360, "height": 740}, java_script_enabled=False)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    yield page, complaints
    await context.close()


async def session_of(sandbox: Sandbox, **more: Any) -> dict[str, Any]:
    line = {"price_data": {"currency": "eur", "unit_amount": 1500, "product_data": {"name": "Single class"}}}
    form = {
        "mode": "payment",
        "line_items": [line],
        "success_url": f"{sandbox.url}/nowhere?paid={{CHECKOUT_SESSION_ID}}",
        "cancel_url": f"{sandbox.url}/nowhere",
        **more,
    }
    made: dict[str, Any] = await sandbox.done("POST", "/v1/checkout/sessions", form)
    return made


async def pay(page: Page, number: str, *, email: str | None = "ann@example.com") -> None:
    if email:
        await page.fill("#email", email)
    await page.fill("#number", number)
    await page.fill("#expiry", "12 / 34")
    await page.fill("#cvc", "123")
    await page.click("button[type=submit]")


async def debit(page: Page, iban: str) -> None:
    await page.fill("#email", "ann@example.com")
    await page.check("input[value=sepa_debit]")
    await page.fill("#iban", iban)
    await page.click("button[type=submit]")


async def test_a_person_buys_on_a_phone_after_a_decline(sandbox: Sandbox, browser: Browser) -> None:
    session = await session_of(sandbox, client_reference_id="chk_1", metadata={"bursar_order": "chk_1"})

    async with phone(browser) as (page, complaints):
        await page.goto(session["url"])
        await expect(page.get_by_role("note")).to_contain_text("Test mode")
        await expect(page.locator("tfoot")).to_contain_text("15.00 EUR")
        await pay(page, "4000 0000 0000 9995")
        await expect(page.get_by_role("alert")).to_have_text("Your card has insufficient funds.")
        await pay(page, "4242 4242 4242 4242")
        await expect(page).to_have_url(re.compile(f"paid={session['id']}$"))

    assert [said for said in complaints if "Content Security Policy" in said] == []
    done = await sandbox.done("GET", f"/v1/checkout/sessions/{session['id']}", {"expand": ["payment_intent"]})
    assert (done["status"], done["payment_status"], done["payment_intent"]["status"]) == (
        "complete",
        "paid",
        "succeeded",
    )
    assert done["customer_details"]["email"] == "ann@example.com"
    assert await sandbox.told() == [
        "product.created",
        "payment_intent.created",
        "charge.failed",
        "payment_intent.payment_failed",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    ]


async def test_each_test_card_does_what_it_is_for(sandbox: Sandbox, browser: Browser) -> None:
    async with phone(browser) as (page, _):
        seen = {}
        for card in CARDS:
            session = await session_of(sandbox)
            await page.goto(session["url"])
            await (debit if card.is_bank else pay)(page, card.number)
            if await page.get_by_role("heading", name="Your bank asks").count():
                await page.click("text=Complete")
            alerts = page.get_by_role("alert")
            seen[card.number] = await alerts.inner_text() if await alerts.count() else page.url

    landed = [number for number, where in seen.items() if "/nowhere?paid=cs_test_" in where]
    assert landed == [card.number for card in CARDS if card.decline is None]
    refused = {number: said for number, said in seen.items() if number not in landed}
    assert refused == {card.number: card.decline.message for card in CARDS if card.decline}
    sessions = (await sandbox.done("GET", "/v1/checkout/sessions", {"limit": 100}))["data"]
    paid = [(one["status"], one["payment_status"]) for one in sessions]
    banks = sum(card.is_bank for card in CARDS)
    assert paid.count(("complete", "unpaid")) == banks
    assert paid.count(("complete", "paid")) == len(landed) - banks
    assert paid.count(("open", "unpaid")) == len(refused)


async def test_the_bank_asks_and_who_fails_may_try_again(sandbox: Sandbox, browser: Browser) -> None:
    session = await session_of(sandbox)

    async with phone(browser) as (page, _):
        await page.goto(session["url"])
        await pay(page, "4000 0027 6000 3184")
        await page.click("text=Fail")
        await expect(page.get_by_role("alert")).to_contain_text("unable to authenticate")
        await pay(page, "4000 0027 6000 3184")
        await page.click("text=Complete")
        await expect(page).to_have_url(re.compile(f"paid={session['id']}$"))

    told = await sandbox.told()
    assert [told.count(f"payment_intent.{what}") for what in ("requires_action", "payment_failed", "succeeded")] == [
        2,
        1,
        1,
    ]


async def test_a_session_that_is_over_takes_nothing(sandbox: Sandbox, browser: Browser) -> None:
    session = await session_of(sandbox)
    await sandbox.done("POST", f"/v1/checkout/sessions/{session['id']}/expire")

    async with phone(browser) as (page, _):
        answer = await page.goto(session["url"])
        await expect(page.get_by_role("heading")).to_have_text("This checkout is over")

    assert answer is not None
    assert answer.status == 410
    assert (await sandbox.done("GET", "/v1/payment_intents"))["data"] == []
