"""What customers see: a price bought with a link in a browser on a phone, the page on which one lands, and who sees nothing."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from api.conftest import Caller, caller_of, running
from bursar.bootstrap import ASKERS
from bursar.kernel import ids
from bursar.kernel.jobs import Engine, Kinds, Resources
from bursar.kernel.settings import Settings
from bursar.money import calls
from bursar.web.app import Application
from sandboxing import KEY as GATEWAY_KEY
from sandboxing import Sandbox, sandbox_at
from serving import KEY, give_key
from stage import Stage, add_price, set_stage

pytestmark = pytest.mark.anyio

CARD = {"email": "ann@example.com", "method": "card", "expiry": "12 / 34", "cvc": "123"}
PACK = [{"kind": "credits", "amount": 10, "pool": "classes", "expires_after": "P3M"}]
COURSE = [{"kind": "licence", "course": "python", "activations": 3}]
ORIGIN = "https://pay.example.org"


@dataclass
class Shop:
    """A business that sells by link at a sandbox of its own, somebody else beside it, and a browser of nobody."""

    mine: Caller
    theirs: Caller
    app: Application
    sandbox: Sandbox
    kinds: Kinds
    buyer: httpx2.AsyncClient

    @property
    def stage(self) -> Stage:
        return self.mine.stage

    @property
    def address(self) -> str:
        return f"/buy/{ids.show(ids.TENANT, self.stage.tenant_id)}/ten"

    async def work(self) -> None:
        await Engine(
            Resources(self.stage.db, Settings(database_url=self.stage.url, secret_key=KEY)), self.kinds
        ).drain()

    async def hear(self) -> None:
        """Deliver all that the gateway has to tell, and apply it."""
        page = await self.sandbox.done("GET", "/v1/events", {"limit": 100})
        if page["data"]:
            await self.stage.tell(*reversed(page["data"]))

    async def sell(self, key: str, **more: Any) -> None:
        price = ids.show(ids.PRICE, self.stage.prices[key])
        answer = await self.mine.send("PUT", f"/v1/prices/{price}/buy-link", {"is_on": True, **more})
        assert answer.status_code == 200, answer.text

    async def form(self, address: str | None = None) -> dict[str, str]:
        page = await self.buyer.get(address or self.address)
        assert page.status_code == 200, page.text
        return {**dict(re.findall(r'name="(\w+)" value="([^"]*)"', page.text)), "email": "ann@example.com"}

    async def send(self, fields: dict[str, str], address: str | None = None, **headers: str) -> httpx2.Response:
        return await self.buyer.post(address or self.address, data=fields, headers={"origin": ORIGIN, **headers})

    async def bought(self, address: str | None = None) -> tuple[str, str]:
        """Buy with the link up to the gateway's page; return our page and the gateway's."""
        fields = await self.form(address)
        sent = asyncio.create_task(self.send(fields, address))
        while not sent.done():
            await self.work()
            await asyncio.sleep(0.01)
        answer = await sent
        assert answer.status_code == 303, answer.text
        led = await self.buyer.get(answer.headers["location"])
        found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', led.text)
        assert found, led.text
        return f"/checkouts/{fields['link']}", found[1]


@pytest.fixture
async def shop(db, database_url, tmp_path: Path) -> AsyncIterator[Shop]:
    settings = {"outcome_wait_s": 10, "public_url": ORIGIN}
    async with sandbox_at(tmp_path) as sandbox, running(database_url, **settings) as (app, http):
        stage = await set_stage(db, database_url, gateway="sandbox", name="Harbour Yoga")
        await add_price(stage, "ten", 4500, PACK, refs=[])
        await add_price(stage, "py-course", 9900, COURSE, refs=[])
        await give_key(stage, GATEWAY_KEY, base_url=sandbox.url)
        theirs = await caller_of(await set_stage(db, database_url, name="Theirs"), http)
        kinds = Kinds([calls.execution(app.api.state.outside, ASKERS)])
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as buyer:
            yield Shop(await caller_of(stage, http), theirs, app, sandbox, kinds, buyer)


async def test_a_price_is_bought_with_its_link_and_the_page_tells_what_it_granted(shop: Shop):
    await shop.sell("ten")
    page, pay = await shop.bought()
    waiting = (await shop.buyer.get(page)).text
    left = (await shop.buyer.get(f"{page}/canceled")).text
    await shop.sandbox.http.post(pay, data=CARD | {"number": "4242424242424242"})
    await shop.hear()

    paid = await shop.buyer.get(page)

    assert "being confirmed" in waiting
    assert f"url={page}?n=1" in waiting
    assert "Nothing was paid" in left
    assert f'href="{pay}"' in left
    assert "Paid: 45.00 EUR." in paid.text
    assert "10 classes credits" in paid.text
    assert "UTC" in paid.text
    assert 'http-equiv="refresh"' not in paid.text
    assert "ann@example.com" not in paid.text
    assert (paid.headers["x-robots-tag"], paid.headers["cache-control"]) == ("noindex, nofollow", "no-store")
    assert (await shop.buyer.get(f"{page}/pay")).headers["location"] == page


async def test_a_form_sent_twice_starts_one_checkout(shop: Shop):
    await shop.sell("ten")
    fields = await shop.form()
    sent = [asyncio.create_task(shop.send(fields)) for _ in range(3)]
    while not all(task.done() for task in sent):
        await shop.work()
        await asyncio.sleep(0.01)
    later = await shop.send(fields | {"email": "other@example.com"})

    answers = [*(await asyncio.gather(*sent)), later]

    assert {answer.status_code for answer in answers} == {303}, [answer.text for answer in answers]
    assert {answer.headers["location"] for answer in answers} == {f"/checkouts/{fields['link']}/pay"}
    assert await shop.stage.value("select count(*) from checkout") == 1
    assert await shop.stage.value("select count(*) from gateway_call") == 1


async def test_nothing_is_sold_by_link_unless_its_business_says_so(shop: Shop):
    own = ids.show(ids.TENANT, shop.theirs.stage.tenant_id)
    price = ids.show(ids.PRICE, shop.stage.prices["ten"])
    off = await shop.buyer.get(shop.address)
    await shop.sell("ten")
    fields = await shop.form()
    foreign = await shop.buyer.get(f"/buy/{own}/ten")
    mixed = await shop.send(fields, f"/buy/{own}/ten")
    other = await shop.theirs.send("PUT", f"/v1/prices/{price}/buy-link", {"is_on": True})
    await shop.mine.send("PUT", f"/v1/prices/{price}/buy-link", {"is_on": False})
    turned_off = await shop.send(fields)

    assert [answer.status_code for answer in (off, foreign, mixed, other, turned_off)] == [404, 404, 422, 404, 404]
    assert "Nothing is sold at this address." in off.text
    assert await shop.stage.value("select count(*) from checkout") == 0
    links = (await shop.mine.get("/v1/buy-links")).json()["data"]
    assert [(link["lookup_key"], link["is_on"]) for link in links if link["lookup_key"] == "ten"] == [("ten", False)]


async def test_the_page_of_a_checkout_opens_with_its_own_link_and_no_other(shop: Shop):
    await shop.sell("ten")
    page, _ = await shop.bought()
    link = page.removeprefix("/checkouts/")
    secret, own = link[-43:], link[26:52]
    guesses = {
        "another secret": link[:-43] + "A" * 43,
        "another business": ids.encode(shop.theirs.stage.tenant_id) + own + "_" + secret,
        "another checkout": link[:26] + ids.encode(ids.new()) + "_" + secret,
        "shorter": link[:-1],
        "nothing": "x",
        "markup": "<script>alert(1)",
    }

    for what, guess in guesses.items():
        for end in ("", "/pay", "/canceled"):
            answer = await shop.buyer.get(f"/checkouts/{guess}{end}")
            assert answer.status_code == 404, what
            assert "classes" not in answer.text
            assert "<script>" not in answer.text

    assert (await shop.buyer.get(page)).status_code == 200
    async with shop.stage.db.tenant(shop.stage.tenant_id) as tx:
        kept = await tx.fetchval("select encode(link_sha256, 'hex') from checkout")
    assert kept not in link


async def test_a_payment_that_fails_days_later_says_what_to_do(shop: Shop):
    await shop.sell("ten")
    page, pay = await shop.bought()
    debit = {"email": "ann@example.com", "method": "sepa_debit", "iban": "AT861904300235473202"}
    await shop.sandbox.http.post(pay, data=debit)
    await shop.hear()
    under_way = (await shop.buyer.get(page)).text
    await shop.sandbox.advance(30 * 86_400)
    await shop.hear()

    failed = (await shop.buyer.get(page)).text

    assert "Your payment is being confirmed" in under_way
    assert "The payment did not go through" in failed
    assert "Try again with another way to pay, or ask your bank." in failed
    assert f'href="{shop.address}"' in failed
    assert "What you have now" not in failed


async def test_a_licence_shows_its_key_to_whoever_bought_it_until_it_is_old_or_he_is_erased(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    await shop.sell("py-course")
    page, pay = await shop.bought(shop.address.removesuffix("ten") + "py-course")
    await shop.sandbox.http.post(pay, data=CARD | {"number": "4242424242424242"})
    await shop.hear()

    paid = (await shop.buyer.get(page)).text

    assert f'<span class="secret">{await shop.stage.value("select key from licence")}</span>' in paid
    with monkeypatch.context() as patched:
        patched.setattr("bursar.web.pages.reads.landing.SHOWN_FOR", timedelta(0))
        assert (await shop.buyer.get(page)).status_code == 404
    customer = (await shop.mine.one("/v1/customers"))["id"]
    assert (await shop.mine.post(f"/v1/customers/{customer}/erasures", {"ground": "requested"})).status_code == 202
    await shop.stage.apply()
    assert (await shop.buyer.get(page)).status_code == 404


async def test_a_page_that_expired_says_so_and_leads_to_a_new_one(shop: Shop):
    await shop.sell("ten")
    page, _ = await shop.bought()
    await shop.sandbox.advance(90_000)
    await shop.hear()

    text = (await shop.buyer.get(page)).text

    assert "This payment page has expired" in text
    assert f'href="{shop.address}"' in text
    assert 'http-equiv="refresh"' not in text


async def test_a_page_looks_a_bounded_number_of_times(shop: Shop):
    await shop.sell("ten")
    page, _ = await shop.bought()

    for asked in ("30", "31", "99", "9999999999", "-1", "x", "٣", "1e3", "<b>"):
        text = (await shop.buyer.get(page, params={"n": asked})).text
        looks = re.findall(r'http-equiv="refresh" content="\d+; url=[^"]+\?n=(\d+)"', text)
        assert looks == ([] if asked in ("30", "31", "99") else ["1"]), asked


async def test_hostile_words_are_refused_or_shown_as_words(shop: Shop):
    await shop.sell("ten")
    fields = await shop.form()
    evil = '"><script>alert(1)</script>'

    for email in (evil, "", "a" * 300 + "@example.com", "x@y@z", "a b@c", "\x00@x"):
        answer = await shop.send(fields | {"email": email})
        assert answer.status_code in (422, 429), email
        assert "<script>" not in answer.text
    paths = [
        "/buy/ten_x/ten",
        f"/buy/{ids.show(ids.TENANT, ids.new())}/ten",
        shop.address + "%00",
        shop.address + "%ff",
    ]
    for path in (*paths, "/themes/x", "/themes/ten_x"):
        assert (await shop.buyer.get(path)).status_code in (400, 404, 422), path
    assert (
        await shop.buyer.post(shop.address, data=fields, headers={"origin": "https://evil.test"})
    ).status_code == 403
    assert await shop.stage.value("select count(*) from checkout") == 0


async def test_one_address_starts_only_so_many_checkouts_a_minute(shop: Shop):
    await shop.sell("ten")

    answers = [await shop.send({"link": "x", "email": "a@example.com"}) for _ in range(6)]

    assert [answer.status_code for answer in answers] == [422] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) > 0


async def test_a_theme_is_worn_and_an_accent_that_cannot_be_read_is_refused_with_one_that_can(shop: Shop):
    await shop.sell("ten")
    theme = {
        "name": "Harbour & Sons",
        "logo_url": "https://img.example.org/logo.png",
        "accent": "#0b5d3b",
        "support_email": "help@example.org",
        "return_url": "https://studio.example.org",
    }
    faint = await shop.mine.send("PUT", "/v1/theme", theme | {"accent": "#ffe600"})
    assert (await shop.mine.send("PUT", "/v1/theme", theme)).json() == theme

    page = await shop.buyer.get(shop.address)
    sheet = await shop.buyer.get(re.search(r'href="(/themes/[^"]+)"', page.text)[1])
    theirs = (await shop.theirs.get("/v1/theme")).json()

    assert (faint.status_code, faint.json()["code"]) == (422, "accent_unreadable")
    nearest = re.search(r"#[0-9a-f]{6}", faint.json()["hint"])[0]
    assert (await shop.mine.send("PUT", "/v1/theme", theme | {"accent": nearest})).status_code == 200
    for words in ("Harbour &amp; Sons", "help@example.org", 'href="https://studio.example.org"', "logo.png"):
        assert words in page.text, words
    assert "img-src 'self' https://img.example.org;" in page.headers["content-security-policy"]
    assert sheet.headers["content-type"].startswith("text/css")
    assert "--accent: light-dark(#0b5d3b, #" in sheet.text
    assert set(theirs.values()) == {None}


async def test_a_checkout_without_a_page_of_its_own_lands_on_ours(shop: Shop):
    asked = asyncio.create_task(shop.mine.post("/v1/checkouts", {"lines": [{"price": "ten"}]}))
    while not asked.done():
        await shop.work()
        await asyncio.sleep(0.01)
    made = (await asked).json()

    session = await shop.sandbox.done("GET", f"/v1/checkout/sessions/{made['gateway_ref']}")

    assert session["success_url"].startswith(f"{ORIGIN}/checkouts/")
    assert session["cancel_url"] == f"{session['success_url']}/canceled"
    page = await shop.buyer.get(session["success_url"].removeprefix(ORIGIN))
    assert "being confirmed" in page.text
