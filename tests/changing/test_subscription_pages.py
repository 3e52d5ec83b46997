"""Subscriptions in a browser: what is previewed is what is billed, a form sent twice asks once, and what is pending says so."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

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


async def test_each_act_says_what_it_does_and_is_done_once(club: Club, desk: Visitor):
    sub = await member(club)
    at = f"/subscriptions/{sub}"

    async def acted(act: str, nth: int = 0, **more: str) -> tuple[str, str]:
        form = await desk.page(f"{at}/{act}")
        assert "ann@example.com" in form
        assert "30.00" in form
        return form, Markup(await sent(club, desk, f"{at}/{act}", fields_of(form, f"{at}/{act}", nth) | more)).text

    ending, shown = await acted("cancel", comment="moving away")
    listed = Markup(await desk.page("/subscriptions")).text
    _, goes_on = await acted("reactivate")
    _, paused = await acted("pause")
    _, resumed = await acted("resume")
    form, ended = await acted("cancel", nth=1)
    again = await desk.post(f"{at}/cancel", fields_of(form, f"{at}/cancel", 1))
    after = await desk.get(f"{at}/pause")

    assert "It cannot be undone; the customer would have to buy anew." in Markup(ending).text
    assert "The gateway has done it: end with its period." in shown
    assert "ends with its period" in listed
    assert "The gateway has done it: let it go on." in goes_on
    assert "paused" in paused
    assert "The gateway has done it: resume." in resumed
    assert "The gateway has done it: end at once." in ended
    assert "ended " in ended
    assert (again.status_code, after.status_code) == (303, 409)
    assert await club.stage.value("select count(*) from subscription_change") == 5
    assert await club.stage.value("select count(*) from gateway_call") == 5


async def test_a_double_click_while_the_gateway_is_silent_asks_once_and_the_page_says_pending(
    club: Club, desk: Visitor, monkeypatch: pytest.MonkeyPatch
):
    sub = await member(club)
    at = f"/subscriptions/{sub}"
    monkeypatch.setattr(club.app.resources.settings, "outcome_wait_s", 0)
    fields = fields_of(await desk.page(f"{at}/pause"), f"{at}/pause")

    answers = await asyncio.gather(*(desk.post(f"{at}/pause", fields) for _ in range(3)))
    pending = await desk.page(answers[0].headers["location"])
    other = await desk.post(f"{at}/cancel", {"change": ids.show(ids.SUBSCRIPTION_CHANGE, ids.new()), "at": "now"})
    await club.work()
    done = Markup(await desk.page(answers[0].headers["location"])).text

    assert {answer.status_code for answer in answers} == {303}, [answer.text for answer in answers]
    assert "Pending: the gateway has not answered yet (pause)." in Markup(pending).text
    assert f'href="{at}/cancel"' not in pending
    assert other.status_code == 409
    assert "has no outcome yet" in other.text
    assert "The gateway has done it: pause." in done
    assert await club.stage.value("select count(*) from subscription_change") == 1


async def test_nothing_is_asked_with_a_form_that_is_not_as_it_was_shown_nor_by_another_business(
    club: Club, desk: Visitor
):
    sub = await member(club)
    at = f"/subscriptions/{sub}"
    gold = ids.show(ids.PRICE, club.stage.prices["gold"])
    good = {"price": gold, "quantity": "1", "proration": "none", "change": ids.show(ids.SUBSCRIPTION_CHANGE, ids.new())}
    bad = [
        good | {"quantity": "0"}, good | {"quantity": "1e3"}, good | {"quantity": "٣"}, good | {"proration": "free"},
        good | {"proration_at": "yesterday"}, good | {"proration_at": "2026-01-01T00:00"}, good | {"price": "gold'--"},
        good | {"change": ""}, good | {"change": "sch_x"}, good | {"proration": "full_now"},
    ]  # fmt: skip
    transport = httpx2.ASGITransport(club.app, raise_app_exceptions=False)

    for fields in bad:
        answer = await desk.post(f"{at}/change", fields)
        assert 400 <= answer.status_code < 500, (fields, answer.status_code)
    assert (await desk.post(f"{at}/cancel", {"at": "someday", "change": good["change"]})).status_code == 422
    assert (await desk.post(f"{at}/extend-trial", {"trial_end": "9999", "change": good["change"]})).status_code == 422
    async with httpx2.AsyncClient(transport=transport, base_url="https://bursar.test") as http:
        stranger = Visitor(club.theirs.stage, await key_of(club.theirs.stage), http)
        await stranger.sign_in()
        for path in ("", "/change", "/cancel"):
            assert (await stranger.get(f"{at}{path}")).status_code == 404
        assert (await stranger.post(f"{at}/change", good)).status_code == 404
        assert (await stranger.post(f"{at}/pause", {"change": good["change"]})).status_code == 404

    assert await club.stage.value("select count(*) from gateway_call") == 0


async def test_a_trial_is_extended_in_the_time_of_the_business(club: Club, desk: Visitor):
    await club.mine.send("PUT", "/v1/time-zone", {"time_zone": "Pacific/Auckland"})
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=7)
    sub = await member(club, trial_end=end)
    at = f"/subscriptions/{sub}"
    later = (end + timedelta(days=3)).astimezone(ZoneInfo("Pacific/Auckland")).replace(second=0)
    form = await desk.page(f"{at}/extend-trial")
    wanted = fields_of(form, f"{at}/extend-trial") | {"trial_end": f"{later:%Y-%m-%dT%H:%M}"}

    shown = Markup(await sent(club, desk, f"{at}/extend-trial", wanted)).text

    assert "in the time of Pacific/Auckland" in form
    assert "The gateway has done it: extend the trial." in shown
    assert f"Trial ends {later:%d %b %Y, %H:%M %Z}".replace("ends 0", "ends ") in shown
    assert datetime.fromisoformat((await club.subscription())["trial_end"]) == later.astimezone(UTC)
