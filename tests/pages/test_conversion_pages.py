"""Conversion and plans on the pages of a business: what happened is counted, and the other business sees none of it."""

from datetime import timedelta

import pytest
from visitors import Markup, Site, Visitor

from bursar.kernel.clock import utc_now
from reports.till import start
from stage import MEMBERSHIP, PACK, add_price, event, session, subscription

pytestmark = pytest.mark.anyio


async def test_a_business_sees_which_checkouts_and_trials_were_paid(site: Site, lived: Visitor):
    stage, now = lived.stage, utc_now()
    made = int((now - timedelta(days=3)).timestamp())
    for n in range(3):
        await start(stage, now - timedelta(days=3), ref=f"cs_t{n}", sells=(PACK, MEMBERSHIP) if n else (PACK,))
    await stage.tell(event("checkout.session.completed", session("t0", created=made, expires_at=made + 60)))
    await start(stage, now)
    await stage.rows("update product set name = '<b>ten</b>' where name = $1 returning id", PACK)
    trial = {"created": made - 99, "trial_start": made - 99, "trial_end": made}
    gone = subscription("canceled", id="sub_gone", ended_at=made, canceled_at=made, **trial)
    await stage.tell(event("customer.subscription.created", gone))

    html = await lived.page("/reports/conversion")
    sheet = await lived.get("/reports/checkouts.csv")
    trials = await lived.get("/reports/trials.csv")
    elsewhere = Markup(await site.empty.page("/reports/conversion")).text
    refused = await lived.get("/reports/conversion?first_day=yesterday")

    text = Markup(html).text
    assert "<b>ten" not in html
    assert "<b>ten</b> 50.00 EUR" in text
    assert "All 4 1 0 1 2 0 33.33 %" in text
    assert "All 1 0 0 1 0.00 %" in text
    assert "4, of which 1 converted, 1 open, 2 lost" in html
    assert "pack-10,5000,EUR,,1,no,4,1,0,1,2,0,0.3333" in sheet.text
    assert "membership,2000,EUR,month,1,no,1,0,0,1,0.0000" in trials.text
    assert "No checkouts in these days" in elsewhere
    assert refused.status_code == 422
    assert "There is no such day." in refused.text


async def test_a_business_sees_its_plans_by_what_they_bring(site: Site, lived: Visitor):
    stage = lived.stage
    await add_price(stage, "yen", 900, [], interval="month", refs=["price_yen"], currency="JPY")
    for n, price in enumerate(("price_yen", "price_unknown")):
        item = {"data": [{"id": "si", "quantity": 1, "price": {"id": price}}]}
        await stage.tell(event("customer.subscription.created", subscription(id=f"sub_m{n}", items=item)))

    text = Markup(await lived.page("/reports/plans")).text
    sheet = await lived.get("/reports/plans.csv")
    elsewhere = Markup(await site.empty.page("/reports/plans")).text

    assert "membership 20.00 EUR every month · membership 1 0 0 20.00 EUR 100.00 %" in text
    assert "Recurring revenue a month of 1 subscription, 10,800 JPY a year 900 JPY" in text
    assert "not in the catalogue 1 0 0 – –" in text
    assert len(sheet.text.splitlines()) == 4
    assert "Nobody subscribes" in elsewhere
    assert "EUR" not in elsewhere
