"""A person on a phone books in a few steps, without JavaScript and without instructions; in light and in dark, and on a wide screen."""

import asyncio
import contextlib
import re
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import time as day_time
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from booking.fronts import Studio, studio_at
from pages.test_browser import _CONTRAST
from sandboxing import sandbox_at
from serving import serving

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed: apt-get install chromium"),
]

FREE_STEPS_MAX = 4
PAID_STEPS_MAX = 5
SIGNED_STEPS_MAX = 7
SECONDS_MAX = 30


@pytest.fixture
async def studio(db, database_url: str) -> AsyncIterator[Studio]:
    async with studio_at(db, database_url) as studio:
        yield studio


@pytest.fixture
async def paid_studio(db, database_url: str, tmp_path: Path) -> AsyncIterator[Studio]:
    """A studio whose seats are paid at a gateway of its own."""
    async with sandbox_at(tmp_path) as sandbox, studio_at(db, database_url, sandbox=sandbox) as studio:
        yield studio


@dataclass
class Person:
    """Somebody before a browser: every tap and every field that is filled in is a step."""

    page: Page
    steps: int = 0
    faint: list[str] = field(default_factory=list)

    async def tap(self, role: str, name: str | re.Pattern[str]) -> None:
        self.steps += 1
        await self.page.get_by_role(role, name=name).first.click()  # type: ignore[arg-type]

    async def type(self, label: str, text: str) -> None:
        self.steps += 1
        await self.page.get_by_label(label, exact=True).fill(text)

    async def look(self, path: Path) -> None:
        """Note what is hard to read, or wider than the screen."""
        await self.page.screenshot(path=path, full_page=True)
        wide = await self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        faint = await self.page.evaluate(_CONTRAST)
        self.faint += [f"{path.name}: {said}" for said in faint + (["wider than the screen"] if wide else [])]


async def test_a_guest_books_within_four_steps_and_half_a_minute_on_a_phone(
    studio: Studio, database_url: str, tmp_path: Path
):
    await studio.add_class("Open Evening", days=1, cost=0, capacity=8)
    await studio.add_class("Morning Flow", days=1, at=day_time(7, 0), cost=1, price="seat")
    await studio.mine.send("PUT", "/v1/theme", {"accent": "#0b5d3b", "support_email": "help@example.org"})
    complaints: list[str] = []
    faint: list[str] = []

    async with serving(database_url, outcome_wait_s=1) as server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for width, scheme in ((390, "light"), (390, "dark"), (1280, "light")):
            context = await browser.new_context(
                viewport={"width": width, "height": 844}, java_script_enabled=False, color_scheme=scheme
            )
            person = Person(await context.new_page())
            person.page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
            begun = time.monotonic()
            await person.page.goto(f"http://127.0.0.1:{server.port}{studio.base}")
            await person.look(tmp_path / f"timetable-{width}-{scheme}.png")
            await person.tap("link", re.compile("Open Evening"))
            await person.look(tmp_path / f"class-{width}-{scheme}.png")
            await person.type("Your name", "Zoe Zander")
            await person.type("Your e-mail address", f"zoe{width}{scheme}@example.com")
            await person.tap("button", "Book, it is free")
            await expect(person.page.get_by_role("heading", level=1)).to_have_text("You are booked")
            took = time.monotonic() - begun
            await person.look(tmp_path / f"booked-{width}-{scheme}.png")
            await person.page.get_by_role("link", name="Cancel…").click()
            await person.look(tmp_path / f"cancel-{width}-{scheme}.png")
            faint += person.faint
            assert person.steps <= FREE_STEPS_MAX
            assert took < SECONDS_MAX
            await context.close()
        await browser.close()

    assert faint == []
    assert complaints == []
    assert await studio.stage.value("select count(*) from booking where status = 'booked'") == 3


async def test_the_whole_way_is_walked_with_the_keyboard(studio: Studio, database_url: str):
    await studio.add_class("Open Evening", days=1, cost=0, capacity=8)

    async with serving(database_url, outcome_wait_s=1) as server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = await (await browser.new_context(java_script_enabled=False)).new_page()
        await page.goto(f"http://127.0.0.1:{server.port}{studio.base}")
        await _tab_to(page, re.compile("Open Evening"))
        await page.keyboard.press("Enter")
        await page.wait_for_url(re.compile("/classes/"))
        await _tab_to(page, "Your name")
        await page.keyboard.type("Zoe Zander")
        await page.keyboard.press("Tab")
        await page.keyboard.type("zoe@example.com")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text("You are booked")
        await browser.close()


async def _tab_to(page: Page, name: str | re.Pattern[str]) -> None:
    """Press Tab until what has the name is focused, and can be seen to be."""
    wanted = page.get_by_role("link", name=name) if isinstance(name, re.Pattern) else page.get_by_label(name)
    for _ in range(30):
        await page.keyboard.press("Tab")
        with contextlib.suppress(AssertionError):
            await expect(wanted.first).to_be_focused(timeout=50)
            return
    raise AssertionError(f"{name} is not reached with the keyboard")


async def test_a_customer_books_with_credits_by_a_mailed_code_in_half_a_minute_on_a_phone(
    studio: Studio, database_url: str, tmp_path: Path
):
    await studio.give_credits("zoe@example.com", 3)
    await studio.add_class("Morning Flow", days=1, cost=1, capacity=8)
    await studio.add_class("Asked First", days=2, cost=0, capacity=0)

    async with serving(database_url, outcome_wait_s=1) as server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = await browser.new_context(viewport={"width": 390, "height": 844}, java_script_enabled=False)
        person = Person(await context.new_page())
        begun = time.monotonic()
        await person.page.goto(f"http://127.0.0.1:{server.port}{studio.base}")
        await person.tap("link", re.compile("Morning Flow"))
        await person.tap("link", "Sign in to book")
        await person.look(tmp_path / "sign-in.png")
        await person.type("Your e-mail address", "zoe@example.com")
        await person.tap("button", "Send me a code")
        await person.look(tmp_path / "code.png")
        code = re.search(r"\n    (\d{3} \d{3})\n", (await studio.mailed())[-1].text)[1]
        await person.type("The code", code)
        await person.tap("button", "Sign in")
        await person.look(tmp_path / "class.png")
        await person.tap("button", "Book with 1 credit")
        await expect(person.page.get_by_role("heading", level=1)).to_have_text("You are booked")
        took = time.monotonic() - begun
        for link in ("My bookings", re.compile("Morning Flow")):
            await person.page.get_by_role("link", name=link).first.click()
            await person.look(tmp_path / "own.png")
        await person.page.goto(f"http://127.0.0.1:{server.port}{studio.base}")
        await person.page.get_by_role("link", name=re.compile("Asked First")).click()
        await person.look(tmp_path / "full.png")
        await browser.close()

    assert person.faint == []
    assert person.steps <= SIGNED_STEPS_MAX
    assert took < SECONDS_MAX
    assert await studio.stage.value("select status || paid_with from booking") == "bookedcredits"


async def test_a_guest_books_and_pays_within_five_steps_and_the_page_tells_the_number(
    paid_studio: Studio, database_url: str, tmp_path: Path
):
    await paid_studio.add_class("Morning Flow", days=1, cost=1, price="seat", capacity=8)

    async def behind() -> None:
        while True:
            await paid_studio.work()
            await paid_studio.hear()
            await asyncio.sleep(0.1)

    async with serving(database_url, outcome_wait_s=10) as server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        context = await browser.new_context(viewport={"width": 390, "height": 844}, java_script_enabled=False)
        person = Person(await context.new_page())
        working = asyncio.create_task(behind())
        begun = time.monotonic()
        await person.page.goto(f"http://127.0.0.1:{server.port}{paid_studio.base}")
        await person.tap("link", re.compile("Morning Flow"))
        await person.type("Your name", "Zoe Zander")
        await person.type("Your e-mail address", "zoe@example.com")
        await person.tap("button", re.compile("Book and pay 15.00 EUR"))
        await person.page.wait_for_url(re.compile("/c/pay/"))
        till_paying = time.monotonic() - begun
        for name, text in (("number", "4242 4242 4242 4242"), ("expiry", "12 / 34"), ("cvc", "123")):
            await person.page.fill(f"#{name}", text)
        person.steps += 1
        await person.page.click("button[type=submit]")
        await expect(person.page.get_by_role("heading", level=1)).to_have_text("You are booked", timeout=30_000)
        await person.look(tmp_path / "paid.png")
        number = await paid_studio.stage.value("select number from booking")
        await expect(person.page.locator("main")).to_contain_text(number)
        working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working
        await browser.close()

    assert person.faint == []
    assert person.steps <= PAID_STEPS_MAX
    assert till_paying < SECONDS_MAX
    assert await paid_studio.stage.value("select status from booking") == "booked"
