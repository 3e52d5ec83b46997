"""A person on a phone buys with a link: declined first, then paid, and told what was granted. Without JavaScript."""

import asyncio
import contextlib
import re
import shutil
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from pages.test_browser import _CONTRAST
from pages.test_storefront import Shop, shop
from serving import serving

__all__ = ["shop"]

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed: apt-get install chromium"),
]


async def pay(page: Page, number: str) -> None:
    await page.fill("#number", number)
    await page.fill("#expiry", "12 / 34")
    await page.fill("#cvc", "123")
    await page.click("button[type=submit]")


async def test_a_person_buys_with_a_link_on_a_phone(shop: Shop, database_url: str, tmp_path: Path):
    await shop.sell("ten")
    await shop.mine.send("PUT", "/v1/theme", {"accent": "#0b5d3b", "support_email": "help@example.org"})
    faint: list[str] = []
    complaints: list[str] = []

    async def behind() -> None:
        while True:
            await shop.work()
            await shop.hear()
            await asyncio.sleep(0.2)

    async def look(page: Page, name: str) -> None:
        await page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
        wide = await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        faint.extend(await page.evaluate(_CONTRAST) + (["wider than the phone"] if wide else []))

    async with serving(database_url, outcome_wait_s=10) as server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = await browser.new_context(viewport={"width": 390, "height": 844}, java_script_enabled=False)
        page = await context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        working = asyncio.create_task(behind())

        await page.goto(f"http://127.0.0.1:{server.port}{shop.address}")
        await look(page, "buy")
        await page.get_by_label("Your e-mail address").fill("zoe@example.com")
        await page.get_by_role("button", name="Pay 45.00 EUR").click()
        await page.wait_for_url(re.compile("/c/pay/"))
        await pay(page, "4000 0000 0000 9995")
        await expect(page.get_by_role("alert")).to_have_text("Your card has insufficient funds.")
        await page.get_by_role("link", name=re.compile("Back|Cancel|back")).first.click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Nothing was paid")
        await expect(page.get_by_role("status")).to_contain_text("try another card, or ask your bank")
        await look(page, "left")
        await page.get_by_role("link", name="Try again").click()
        await page.wait_for_url(re.compile("/c/pay/"))
        await pay(page, "4242 4242 4242 4242")
        await expect(page.get_by_role("status")).to_contain_text("Paid: 45.00 EUR.", timeout=20_000)
        await expect(page.locator("main")).to_contain_text("10 classes credits")
        await look(page, "paid")

        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        await browser.close()

    assert faint == []
    assert [said for said in complaints if "Content Security Policy" in said] == []
    assert await shop.stage.value("select count(*) from checkout") == 1
