"""A dispute is answered in a real browser that runs no script: texts, a file from the disk, and the last step."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from playwright.async_api import async_playwright, expect

from bursar.cli.server import server_of
from disputing.conftest import Shop
from disputing.test_disputing import PDF
from pages.visitors import key_of

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed: apt-get install chromium"),
]


@asynccontextmanager
async def _ended(server: uvicorn.Server, serving: asyncio.Task[None]) -> AsyncIterator[None]:
    """End a server, whatever happened in its presence."""
    try:
        yield
    finally:
        server.should_exit = True
        await serving


async def test_evidence_is_given_without_a_script(shop: Shop, tmp_path: Path):
    dispute = await shop.contested()
    (tmp_path / "bill.pdf").write_bytes(PDF)
    complaints: list[str] = []
    server = server_of(shop.app)
    server.config.lifespan = "off"
    serving = asyncio.create_task(server.serve(sockets=[listening := socket.create_server(("127.0.0.1", 0))]))
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with _ended(server, serving), async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = await browser.new_context(viewport={"width": 1280, "height": 1000}, java_script_enabled=False)
        page = await context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        await page.goto(f"{base}/sign-in")
        await page.click("text=Sign in with an API key")
        await page.fill("#api_key", await key_of(shop.stage))
        await page.click("text=Sign in with the key")
        await page.goto(f"{base}/disputes")
        await page.click("main a.row")
        await page.fill("#product_description", "Ten classes,\nof which eight were attended.")
        await page.set_input_files("#receipt", tmp_path / "bill.pdf")
        await page.click("text=Save beside the dispute")
        await shop.work()
        await page.reload()
        await expect(page.locator("main")).to_contain_text("replaces bill.pdf")
        await page.click("main a[href$='/submit']")
        await expect(page.locator("h1")).to_contain_text("Hand your answer about 50.00")
        await page.click("main form.ask button")
        await shop.work()
        await page.reload()
        await expect(page.locator("main")).to_contain_text("handed to the bank")
        await browser.close()

    there = await shop.there()
    assert dispute
    assert there["evidence"]["product_description"] == "Ten classes,\nof which eight were attended."
    assert (there["evidence_details"]["submission_count"], await shop.uploads()) == (1, 1)
    assert complaints == []
