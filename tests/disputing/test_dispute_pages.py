"""A dispute is answered on pages, without a script: saved beside it, then handed over once and for all, or conceded."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx2
import pytest

from bursar.kernel.zones import set_time_zone
from disputing.conftest import DISPUTED, Shop
from disputing.test_disputing import PDF
from pages.visitors import ORIGIN, Markup, Visitor, client_of, key_of

pytestmark = pytest.mark.anyio


@pytest.fixture
async def clerk(shop: Shop) -> AsyncIterator[Visitor]:
    """A browser in which the shop is signed in."""
    client = client_of(shop.app)
    visitor = Visitor(shop.stage, await key_of(shop.stage), client)
    assert (await visitor.sign_in()).status_code == 303
    yield visitor
    await client.aclose()


async def sent(
    clerk: Visitor, path: str, texts: dict[str, str], file: tuple[str, bytes] | None = None
) -> httpx2.Response:
    """Send the form of a dispute's page as a browser does."""
    page = await clerk.page(path.rpartition("/")[0])
    hidden = dict(re.findall(r'name="(form_token|answer)" value="([^"]+)"', page))
    # A browser sends every field of a file, chosen or not.
    files = {"receipt": file or ("", b""), "refund_policy": ("", b"")}
    return await clerk.http.post(path, data=hidden | texts, files=files, headers={"origin": ORIGIN})


async def due(shop: Shop, span: str) -> None:
    """Let the bank want the answer then."""
    async with shop.stage.db.tenant(shop.stage.tenant_id) as tx:
        await tx.execute(f"update dispute set due_by = now() + interval '{span}'")


async def test_evidence_is_saved_then_handed_over_with_amount_and_customer_restated(shop: Shop, clerk: Visitor):
    dispute = await shop.contested()
    async with shop.stage.db.tenant(shop.stage.tenant_id) as tx:
        await set_time_zone(tx, tenant_id=shop.stage.tenant_id, name="Pacific/Auckland", actor="operator")
    empty = Markup(await clerk.page(f"/disputes/{dispute}/submit")).text
    listed = Markup(await clerk.page("/disputes")).text
    overview = Markup(await clerk.page("/")).text

    saved = await sent(
        clerk,
        f"/disputes/{dispute}/evidence",
        {"product_description": "Ten\r\nclasses", "service_date": ""},
        ("bill.pdf", PDF),
    )
    under_way = Markup(await clerk.page(f"/disputes/{dispute}")).text
    await shop.work()
    shown = await clerk.page(f"/disputes/{dispute}")
    confirm = await clerk.page(f"/disputes/{dispute}/submit")
    form = dict(re.findall(r'name="(answer)" value="([^"]+)"', confirm))
    first = await clerk.post(f"/disputes/{dispute}/submit", form)
    again = await clerk.post(f"/disputes/{dispute}/submit", form)
    await shop.work()
    await shop.report()
    after = Markup(await clerk.page(f"/disputes/{dispute}")).text

    assert (saved.status_code, first.status_code, again.status_code) == (303, 303, 303), saved.text
    assert "Nothing was said or shown yet" in empty
    assert "Pacific/Auckland" in listed
    assert "Need an answer" in listed
    assert "Disputes 1 need an answer" in overview
    assert "on its way to the gateway" in under_way
    assert "replaces" in shown
    assert "Ten\nclasses</textarea>" in shown
    assert all(
        word in Markup(confirm).text
        for word in ("50.00 EUR", "ann@example.com", "Once and for all", "bill.pdf", "Ten classes")
    )
    assert "handed to the bank" in after
    there = await shop.there()
    assert (there["evidence"]["product_description"], there["evidence_details"]["submission_count"]) == (
        "Ten\nclasses",
        1,
    )
    assert (await shop.uploads(), await shop.stage.value("select count(*) from gateway_call")) == (1, 3)


async def test_a_dispute_is_conceded_in_two_steps_and_an_overdue_one_offers_neither(shop: Shop, clerk: Visitor):
    dispute = await shop.contested(DISPUTED)

    confirm = await clerk.page(f"/disputes/{dispute}/accept")
    form = dict(re.findall(r'name="(answer)" value="([^"]+)"', confirm))
    await due(shop, "-1 day")
    late = await clerk.page(f"/disputes/{dispute}")
    refused = await clerk.post(f"/disputes/{dispute}/accept", form)
    await due(shop, "1 day")
    accepted = await clerk.post(f"/disputes/{dispute}/accept", form)
    await shop.work()
    await shop.report()

    assert "It cannot be undone" in confirm
    assert "Concede 50.00 EUR to ann@example.com" in Markup(confirm).text
    assert "The bank took answers until" in late
    assert '<form class="ask' not in late
    assert (refused.status_code, accepted.status_code) == (409, 303)
    assert "conceded" in Markup(await clerk.page(f"/disputes/{dispute}")).text
    assert (await shop.there())["status"] == "lost"


async def test_a_form_that_is_no_evidence_is_refused_as_a_page(shop: Shop, clerk: Visitor):
    dispute = await shop.contested()
    path = f"/disputes/{dispute}/evidence"

    told = {
        "nothing": await sent(clerk, path, {}),
        "program": await sent(clerk, path, {}, ("bill.pdf", b"MZ\x90")),
        "20 MB": await sent(clerk, path, {}, ("bill.pdf", PDF + bytes(20 * 2**20))),
        "control": await sent(clerk, path, {"product_description": "a\x07b"}),
        "no parts": await clerk.http.post(
            path, content=b"--x", headers={"origin": ORIGIN, "content-type": "multipart/form-data"}
        ),
        "no token": await clerk.http.post(path, files={"receipt": ("a.pdf", PDF)}, headers={"origin": ORIGIN}),
        "foreign": await clerk.http.post(
            path,
            data={"form_token": await clerk.token()},
            files={"receipt": ("a.pdf", PDF)},
            headers={"origin": "https://evil.test"},
        ),
    }

    assert {name: answer.status_code for name, answer in told.items()} == {
        "nothing": 422, "program": 422, "20 MB": 413, "control": 422, "no parts": 422, "no token": 403, "foreign": 403,
    }  # fmt: skip
    assert all(answer.headers["content-type"].startswith("text/html") for answer in told.values())
    assert await shop.stage.value("select count(*) from gateway_call") == 0


async def test_the_button_on_a_customer_s_page_leads_to_the_gateway_s_portal(shop: Shop, clerk: Visitor):
    made = await shop.sandbox.done("POST", "/v1/customers", {"email": "ann@example.com"})
    await shop.report()
    customer = (await shop.mine.one("/v1/customers", gateway_ref=made["id"]))["id"]
    offered = "Open the gateway's portal" in Markup(await clerk.page(f"/customers/{customer}")).text

    async def while_working() -> httpx2.Response:
        asked = asyncio.create_task(clerk.post(f"/customers/{customer}/portal"))
        while not asked.done():
            await shop.work()
            await asyncio.sleep(0.02)
        return await asked

    asked = await while_working()
    page = Markup(await clerk.page(asked.headers["location"]))
    link = next(a["href"] for a in page.all("a") if a.get("target") == "_blank")
    shop.clock.ahead = timedelta(minutes=6)
    late = Markup(await clerk.page(asked.headers["location"])).text

    assert (offered, asked.status_code) == (True, 303)
    assert (await shop.sandbox.http.get(str(link))).status_code == 200
    assert "is not told any more" in late
