"""Subscriptions in a browser: what is previewed is what is billed, a form sent twice asks once, and what is pending says so."""

import asyncio
import re
from collections.abc import AsyncIterator

import httpx2
import pytest

from bursar.kernel import ids
from changing.conftest import Club
from pages.visitors import Markup, Visitor, key_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def desk(club: Club) -> AsyncIterator[Visitor]:
    """A browser of the business; by TLS, as the address of this installation says."""
    transport = httpx2.ASGITransport(club.app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="https://bursar.test") as http:
        visitor = Visitor(club.stage, await key_of(club.stage), http)
        assert (await visitor.sign_in()).status_code == 303
        yield visitor


async def member(club: Club, **more: object) -> str:
    silver = await club.price("silver", 3000, 8)
    await club.price("gold", 9000, 30)
    return await club.bought("silver", silver, **more)


def fields_of(text: str, action: str, nth: int = 0) -> dict[str, str]:
    """Return what the form of a page sends that leads to an address."""
    form = [part for part in text.split("<form")[1:] if f'action="{action}"' in part][nth].partition("</form>")[0]
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', form))


async def sent(club: Club, desk: Visitor, path: str, fields: dict[str, str]) -> str:
    """Send a form while a worker works, hear what the gateway tells; return the page that it leads to."""
    await club.sandbox.advance(2)
    asked = asyncio.create_task(desk.post(path, fields))
    while not asked.done():
        await club.work()
        await asyncio.sleep(0.01)
    await club.stage.apply()
    await club.report()
    answer = await asked
    assert answer.status_code == 303, answer.text
    return await desk.page(answer.headers["location"])


async def test_what_is_previewed_is_what_is_billed_and_a_form_sent_twice_asks_once(club: Club, desk: Visitor):
    sub = await member(club)
    await club.advance(10)
    at = f"/subscriptions/{sub}"
    gold = ids.show(ids.PRICE, club.stage.prices["gold"])

    asked = await desk.page(f"{at}/change")
    wanted = {"price": gold, "quantity": "2", "proration": "bill_now"}
    preview = (await desk.post(f"{at}/change/preview", wanted)).text
    confirmed = fields_of(preview, f"{at}/change")
    due = re.search(r"Change it for ann@example.com: ([\d.]+) EUR now", preview)
    await club.sandbox.advance(3600)
    shown = Markup(await sent(club, desk, f"{at}/change", confirmed)).text
    again = await desk.post(f"{at}/change", confirmed)

    assert "gold: 90.00 EUR a month" in asked
    assert due, preview
    bills = sorted(bill["total_minor"] for bill in await club.mine.data("/v1/invoices"))
    assert bills == sorted([3000, int(due[1].replace(".", ""))])
    assert "Due now" in preview
    assert "180.00" in Markup(preview).text
    assert "The gateway has done it: sell something else." in shown
    assert "gold × 2" in shown
    assert again.status_code == 303
    assert await club.stage.value("select count(*) from gateway_call") == 1
    assert await club.stage.value("select count(*) from subscription_change") == 1
