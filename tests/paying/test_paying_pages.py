"""Saved ways to pay and payments that wait, in a browser: what a customer has, what ends soon, and how his link stands."""

from collections.abc import AsyncIterator

import httpx2
import pytest

from bursar.kernel.resources import utc_now
from pages.visitors import Markup, Visitor, key_of
from paying.conftest import ASKED_ALWAYS, BACK, Till

pytestmark = pytest.mark.anyio


@pytest.fixture
async def desk(till: Till) -> AsyncIterator[Visitor]:
    """A browser of the business; by TLS, as the address of this installation says."""
    transport = httpx2.ASGITransport(till.app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="https://bursar.test") as http:
        visitor = Visitor(till.stage, await key_of(till.stage), http)
        assert (await visitor.sign_in()).status_code == 303
        yield visitor


async def test_a_customer_shows_his_cards_and_a_payment_that_waits_how_its_link_stands(till: Till, desk: Visitor):
    now = utc_now()
    none = Markup(await desk.page(f"/customers/{till.customer}")).text
    ending = await till.saved(exp_month=now.month, exp_year=now.year)
    asked = await till.saved(ASKED_ALWAYS)
    assert (await till.ask(f"/v1/payment-methods/{ending}/defaults", {})).status_code == 201
    await till.hear()
    silent = (await till.pay(asked)).json()["id"]
    written = (await till.pay(asked, return_url=BACK)).json()["id"]
    await till.hear()

    cards = Markup(await desk.page(f"/customers/{till.customer}")).text
    without = Markup(await desk.page(f"/payments/{silent}")).text
    before = Markup(await desk.page(f"/payments/{written}")).text
    await till.posted()
    after = Markup(await desk.page(f"/payments/{written}")).text
    await till.ask(f"/v1/payments/{written}/cancellations")
    await till.hear()
    ended = Markup(await desk.page(f"/payments/{written}")).text

    assert "None saved." in none
    soon = (
        utc_now().month == now.month and (await till.mine.get(f"/v1/payment-methods/{ending}")).json()["expires_soon"]
    )
    assert ("ends soon" in cards) == soon
    assert f"until {now.month:02}/{now.year}, pays this customer's invoices" in cards
    assert "ends in 4242" in cards
    assert "Waits for the customer's confirmation" in without
    assert "No link was made" in without
    assert "it is about to be sent to the customer" in before
    assert "and sent to the customer." in after
    assert "Waits for the customer's confirmation" not in ended
