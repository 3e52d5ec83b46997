"""The pages in a real browser: clicked through, watched live, steered by keys, in light, dark and on a phone."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from playwright.async_api import Browser, Page, async_playwright, expect
from test_signing_in import PASSWORD, invited
from visitors import key_of, live

from bursar.kernel import ids, tenancy
from bursar.kernel.access import OPERATOR
from bursar.kernel.db import Database
from bursar.kernel.identity import users
from bursar.money.intake import queue
from bursar.money.intake.filing import Filing, file_events
from bursar.web.tickets import make_ticket
from serving import KEY, Server, serving
from stage import Stage, event, intent, set_stage

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(shutil.which("chromium") is None, reason="Chromium is not installed: apt-get install chromium"),
]

PAGES = [
    "/",
    "/payments",
    "/customers",
    "/disputes",
    "/unmatched",
    "/events",
    "/dead",
    "/catalog",
    "/books",
    "/checks",
    "/people",
    "/search?q=x",
]
WAIT_MS = 5000
LOOKS = [(1280, "light"), (1280, "dark"), (390, "light"), (320, "dark")]

_TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

# The least contrast of any text with what is behind it, and the words that have it. A canvas turns any colour into sRGB.
_CONTRAST = """() => {
  const canvas = document.createElement('canvas'); canvas.width = canvas.height = 1;
  const pen = canvas.getContext('2d', {willReadFrequently: true});
  const rgb = (colour, under) => {
    pen.clearRect(0, 0, 1, 1);
    if (under) { pen.fillStyle = under; pen.fillRect(0, 0, 1, 1); }
    pen.fillStyle = colour; pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (rgb(colour)[3] > 250) return colour;
    }
    return 'white';
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement, style = getComputedStyle(node), box = node.getBoundingClientRect();
    if (!walker.currentNode.data.trim() || box.width < 2 || style.visibility === 'hidden' || Number(style.opacity) < 1) continue;
    const back = behind(node), one = light(rgb(style.color, back)), other = light(rgb(back));
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    const isLarge = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) found.push(`${walker.currentNode.data.trim().slice(0, 30)} ${ratio.toFixed(2)}`);
  }
  return found;
}"""


@dataclass
class Window:
    """A browser's page, signed in, and what went wrong in it."""

    page: Page
    base: str
    complaints: list[str] = field(default_factory=list)

    async def open(self, path: str) -> None:
        await self.page.goto(f"{self.base}{path}")


@dataclass
class Desk:
    """A served business and a browser to look at it with."""

    stage: Stage
    server: Server
    browser: Browser
    key: str

    @asynccontextmanager
    async def window(self, *, width: int = 1280, dark: bool = False, scripts: bool = True) -> AsyncIterator[Window]:
        context = await self.browser.new_context(
            viewport={"width": width, "height": 860},
            color_scheme="dark" if dark else "light",
            java_script_enabled=scripts,
            reduced_motion="reduce",
        )
        window = Window(await context.new_page(), f"http://127.0.0.1:{self.server.port}")
        window.page.on("console", lambda said: window.complaints.append(said.text) if said.type == "error" else None)
        window.page.on("pageerror", lambda error: window.complaints.append(str(error)))
        await window.open("/sign-in")
        await window.page.click("text=Sign in with an API key")
        await window.page.fill("#api_key", self.key)
        await window.page.click("text=Sign in with the key")
        await window.page.wait_for_url(f"{window.base}/")
        yield window
        await context.close()


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    """One browser; each window of it knows nothing of another."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture
async def desk(db: Database, database_url: str, browser: Browser) -> AsyncIterator[Desk]:
    stage = await set_stage(db, database_url, name="Harbour Yoga")
    await live(stage)
    async with serving(database_url) as server:
        yield Desk(stage, server, browser, await key_of(stage))


async def test_events_appear_as_they_arrive_without_reloading(desk: Desk):
    async with desk.window() as window:
        await window.open("/events?type=payment_intent.succeeded")
        rows = window.page.locator("main tbody tr")
        await expect(rows).to_have_count(2)

        await desk.stage.deliver(event("payment_intent.succeeded", intent("live", amount=1234, amount_received=1234)))
        await expect(rows).to_have_count(3, timeout=WAIT_MS)
        await expect(rows.first).to_contain_text("received")

        await desk.stage.apply()
        await expect(rows.first).to_contain_text("12.34", timeout=WAIT_MS)
        assert not window.complaints


async def test_keys_find_and_move_and_open(desk: Desk):
    async with desk.window() as window:
        page = window.page
        await page.keyboard.press("/")
        await page.keyboard.type("pi_1")
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_contain_text("50.00", timeout=WAIT_MS)

        await window.open("/payments")
        await page.keyboard.press("j")
        await page.keyboard.press("j")
        await page.keyboard.press("k")
        first = page.locator("main a.row").first
        await expect(first).to_be_focused()
        address = await first.get_attribute("href")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{window.base}{address}")
        assert not window.complaints


async def test_the_row_in_focus_keeps_it_when_the_list_refreshes(desk: Desk):
    async with desk.window() as window:
        await window.open("/events")
        await window.page.keyboard.press("j")
        focused = await window.page.evaluate("document.activeElement.id")

        await desk.stage.deliver(event("product.created", {"id": "prod_live", "object": "product"}))
        await expect(window.page.locator("main tbody tr").first).to_contain_text("product.created", timeout=WAIT_MS)

        assert focused.startswith("a-evt_")
        assert await window.page.evaluate("document.activeElement.id") == focused


async def test_a_click_is_not_lost_to_the_news_under_it(desk: Desk):
    async with desk.window() as window:
        page = window.page
        await window.open("/events")
        row = page.locator("main tbody a.row").first
        address = await row.get_attribute("href")
        await row.hover()
        await page.mouse.down()
        await desk.stage.deliver(event("product.created", {"id": "prod_live", "object": "product"}))
        await page.wait_for_timeout(2_000)
        await page.mouse.up()

        await page.wait_for_url(f"{window.base}{address}", timeout=WAIT_MS)
        await window.open("/events")
        await expect(page.locator("main tbody tr").first).to_contain_text("product.created", timeout=WAIT_MS)
        assert not window.complaints


async def test_a_dead_letter_is_replayed_by_clicking(desk: Desk):
    async with desk.window() as window:
        page = window.page
        await page.click("text=Dead letters >> nth=0")
        await page.click("main tbody a.row >> nth=0")
        await page.fill("#reason", "tried by hand")
        await page.click("text=Replay this event")

        await expect(page.locator("[role=status]")).to_contain_text("Queued again", timeout=WAIT_MS)
        assert await desk.stage.value("select reason from gateway_event_replay") == "tried by hand"
        assert not window.complaints


async def test_what_is_being_typed_survives_the_news(desk: Desk):
    async with desk.window() as window:
        page = window.page
        event_id = await desk.stage.deliver(event("payment_intent.succeeded", intent("typed")))
        await window.open(f"/events/{ids.show(ids.EVENT, event_id[0])}")
        await page.fill("#reason", "half a sen")

        await desk.stage.apply()
        await page.focus("main a >> nth=0")
        await expect(page.locator(".timeline")).to_contain_text("applied", timeout=WAIT_MS)

        assert await page.input_value("#reason") == "half a sen"


async def test_unmatched_money_is_assigned_by_clicking_and_the_page_follows(desk: Desk):
    async with desk.window() as window:
        page = window.page
        await page.click("nav >> text=Unmatched")
        await page.click("text=Assign…")
        await page.select_option("#price", label="pack-10 (pack-10), 50.00 EUR – fits 2 times")
        await page.fill("#quantity", "2")
        await page.click("text=Continue…")
        await expect(page.locator("h1")).to_contain_text("Assign 100.00 EUR of cus_eve?")
        await page.click("button:has-text('Assign 100.00 EUR of cus_eve')")
        await expect(page.locator("h1")).to_contain_text("bursar.payment.assigned")

        await desk.stage.apply()

        await expect(page.locator(".effects").first).to_contain_text("granted", timeout=WAIT_MS)
        assert not window.complaints


async def test_the_basic_ways_work_without_scripts(desk: Desk):
    async with desk.window(scripts=False) as window:
        page = window.page
        await page.click("nav >> text=Events")
        await page.fill("input[name=type]", "invoice.paid")
        await page.click("text=Show")
        await expect(page.locator("main tbody tr")).to_have_count(1)
        await page.click("main tbody a.row")
        await page.click("text=Replay this event")
        await expect(page.locator("[role=status]")).to_contain_text("Queued again")


async def test_every_page_fits_and_can_be_read(desk: Desk):
    stage = desk.stage
    async with stage.db.tenant(stage.tenant_id) as tx:
        await tx.execute("update gateway_account set gateway = 'sandbox' where tenant_id = $1", stage.tenant_id)
    async with desk.window() as window:
        listed = "els => els.map(el => el.getAttribute('href'))"
        await window.open("/reports")
        also = set(await window.page.eval_on_selector_all(".side nav a, main nav a", listed)) - {*PAGES}
        assert {"/reports/plans", "/schedule/terms", "/alerts"} <= also
        addresses = [*PAGES]
        for path in ("/payments", "/customers", "/events", "/dead", "/unmatched"):
            await window.open(path)
            addresses += [await window.page.locator("main a.row").first.get_attribute("href") or ""]
        for path in [*addresses, *sorted(also)]:
            await window.open(path)
            for width, scheme in LOOKS if path in addresses else LOOKS[::3]:
                await window.page.set_viewport_size({"width": width, "height": 860})
                await window.page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                wider = await window.page.evaluate(_TOO_WIDE)
                assert wider <= 0, (path, width, wider)
                assert not await window.page.evaluate(_CONTRAST), (path, width, scheme)
        assert not window.complaints


@pytest.mark.parametrize("scripts", [True, False])
async def test_an_invited_person_chooses_a_password_and_signs_in(desk: Desk, scripts: bool):  # noqa: FBT001
    token = await invited(desk.stage)
    base = f"http://127.0.0.1:{desk.server.port}"
    context = await desk.browser.new_context(java_script_enabled=scripts, viewport={"width": 390, "height": 800})
    page = await context.new_page()

    await page.goto(f"{base}/accept?token={token}")
    for password in ("password1", PASSWORD):
        await page.fill("#password", password)
        await page.fill("#again", password)
        await page.click("text=Set the password")
    await expect(page.locator("[role=status]")).to_contain_text("Your password is set.")
    await page.fill("#email", "ann@example.com")
    await page.fill("#password", PASSWORD)
    await page.click("button:has-text('Sign in') >> nth=0")
    await page.wait_for_url(f"{base}/")
    await page.goto(f"{base}/account")

    await expect(page.locator("h1")).to_have_text("Your account")
    assert not await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    await context.close()


async def test_a_ticket_that_another_site_led_to_is_taken_by_a_press_of_a_button(desk: Desk):
    ticket = make_ticket(KEY, desk.stage.tenant_id, datetime.now(UTC))
    context = await desk.browser.new_context(extra_http_headers={})
    page = await context.new_page()
    base = f"http://127.0.0.1:{desk.server.port}"

    await page.set_content(f'<a href="{base}/enter?ticket={ticket}">in</a>')
    await page.click("a")
    await page.click("text=Open the dashboard")

    await page.wait_for_url(f"{base}/")
    await context.close()


# What would show a dialog, or leave a mark, if any of it were run; as the text of an element, an attribute, a script.
RUNS = (
    "'\"--></title></style></script><script>document.hit=1;alert(1)</script><svg onload=alert(1)><img src=x onerror=alert(1)>"
    "<a href=javascript:alert(1)>x</a>{{constructor.constructor('alert(1)')()}}"
)


async def _write_everywhere(stage: Stage, text: str) -> None:
    """Have the text wherever somebody else's words are shown."""
    await stage.deliver(
        event("customer.created", {"id": "cus_x", "object": "customer", "name": text, "email": text, "description": text}),
        event("charge.succeeded", {"id": text, "object": "charge", text: text}),
    )  # fmt: skip
    await stage.apply()
    tenant_id = stage.tenant_id
    async with stage.db.tenant(tenant_id) as tx:
        waiting = await tx.fetchval("select event_id from gateway_event_queue where tenant_id = $1", tenant_id)
        await queue.fail(tx, tenant_id=tenant_id, failures=[queue.Failure(waiting, text, None)])
        await tx.execute("update customer set name = $2, email = $2 where tenant_id = $1", tenant_id, text)
        await tx.execute(
            "update product set name = left($2, 200), description = $2 where tenant_id = $1", tenant_id, text
        )
        await tenancy.create_key(tx, tenant_id=tenant_id, name=text, actor=text[:100])
        invited = await users.invite(
            tx, tenant_id=tenant_id, email="x@example.com", name="x", roles=("owner",), by=OPERATOR, now=datetime.now(UTC)
        )  # fmt: skip
        await tx.execute("update tenant_user set name = $2 where tenant_id = $1 and id = $3", tenant_id, text[:200], invited.id)  # fmt: skip


async def test_nothing_that_somebody_wrote_is_run_and_no_policy_is_broken(desk: Desk):
    await _write_everywhere(desk.stage, RUNS)
    dialogs = []
    async with desk.window() as window:
        page = window.page
        page.on("dialog", lambda dialog: dialogs.append(dialog.message) or asyncio.ensure_future(dialog.dismiss()))
        addresses = [
            *PAGES,
            "/people",
            "/api-keys",
            "/audit",
            "/security",
            f"/search?q={quote(RUNS)}",
            f"/events?type={quote(RUNS)}",
        ]
        for path in ("/customers", "/events", "/dead", "/api-keys", "/people", "/audit"):
            await window.open(path)
            addresses += [await page.locator("main a[href]").first.get_attribute("href") or ""]
        shown = 0
        for path in addresses:
            await window.open(path)
            shown += "document.hit" in await page.inner_text("body")
            assert await page.evaluate(
                "document.hit === undefined && !document.querySelector('main img, main svg[onload]')"
            ), path
            assert await page.locator("a[href^=javascript]").count() == 0, path
        assert not window.complaints
        window.complaints.clear()
        for path in (
            f"/customers/{quote(RUNS, safe='')}",
            f"/events/{quote(RUNS, safe='')}",
            f"/payments/pay_{quote(RUNS, safe='')}",
        ):
            await window.open(path)
            assert await page.evaluate("document.hit === undefined"), path

        assert not dialogs
        assert not [said for said in window.complaints if "Failed to load resource" not in said]
        assert shown >= 6


async def test_a_body_of_a_mebibyte_leaves_the_page_usable(desk: Desk):
    body = json.dumps({"id": "evt_large", "data": {"object": {"lines": [{"id": n, "text": "é" * 20} for n in range(13_000)]}}}).encode()  # fmt: skip
    filing = Filing(
        ids.new(), desk.stage.tenant_id, desk.stage.account_id, "evt_large", "invoice.paid", "gateway", datetime.now(UTC), {}, body, None
    )  # fmt: skip
    async with desk.stage.db.engine() as tx:
        (filed,) = await file_events(tx, [filing])
    async with desk.window() as window:
        await window.open(f"/events/{ids.show(ids.EVENT, filed.id)}")
        await window.page.click("nav >> text=Customers", timeout=WAIT_MS)
        await window.page.wait_for_url("**/customers", timeout=WAIT_MS)
        assert not window.complaints
    assert len(body) > 1_048_576
