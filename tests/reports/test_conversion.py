"""Which checkouts and trials were paid, and what is subscribed to: each counted once, with what became of it by now."""

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from days_of_business import second_account
from till import start

from api.conftest import Caller, World
from bursar.health.figures import summed
from bursar.kernel import ids
from bursar.kernel.clock import utc_now
from bursar.money.reports import conversion
from stage import COURSE, MEMBERSHIP, PACK, Stage, add_price, event, invoice, session, subscription

pytestmark = pytest.mark.anyio

DAY = datetime(2026, 3, 10, 12, tzinfo=UTC)
PERIOD = {"first_day": "2026-03-09", "last_day": "2026-03-11"}
NOTHING = {"paid": 0, "free": 0, "open": 0, "lost": 0, "refused": 0}


def stamp(at: datetime) -> int:
    return int(at.timestamp())


async def told(caller: Caller, name: str, **asked: str) -> dict[str, Any]:
    answer = await caller.get(f"/v1/reports/{name}", **asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def outcomes(row: dict[str, Any]) -> dict[str, int]:
    return {name: row[name] for name in NOTHING}


async def page(stage: Stage, n: str, at: datetime, *, ends: datetime | None = None, **more: Any) -> None:
    """Let the gateway tell how its page stands."""
    told = session(n, created=stamp(at), expires_at=stamp(ends or at + timedelta(days=1)), **more)
    await stage.tell(event(f"checkout.session.{told['status']}d".replace("opend", "opened"), told, at=stamp(at)))


async def test_each_checkout_has_one_outcome_and_what_may_still_be_paid_is_not_lost(world: World):
    stage, soon = world.mine.stage, utc_now() + timedelta(days=1)
    await start(stage, DAY, ref="cs_paid")
    await page(stage, "paid", DAY)
    await start(stage, DAY, ref="cs_free", sells=(MEMBERSHIP,))
    await page(
        stage, "free", DAY, payment_status="no_payment_required", amount_total=0, payment_intent=None, metadata={}
    )
    await start(stage, DAY, ref="cs_way")
    await page(stage, "way", DAY, payment_status="unpaid")
    await start(stage, DAY, ref="cs_over")
    await page(stage, "over", DAY, status="expired", payment_status="unpaid", payment_intent=None)
    await start(stage, DAY, ref="cs_ended", expires_at=DAY + timedelta(hours=1))
    await start(stage, DAY, ref="cs_running", expires_at=soon)
    await start(stage, DAY, state="refused")
    await start(stage, utc_now(), state="asked")

    report = await told(world.mine, "checkouts", **PERIOD)
    today = await told(world.mine, "checkouts")

    assert outcomes(report["totals"][0]) == {"paid": 1, "free": 1, "open": 2, "lost": 2, "refused": 1}
    assert (report["totals"][0]["started"], report["totals"][0]["conversion_rate"]) == (7, "0.5000")
    assert [(row["day"], row["started"]) for row in report["by_day"]] == [("2026-03-10", 7)]
    assert {row["offer"]["lookup_key"]: row["started"] for row in report["data"]} == {PACK: 6, MEMBERSHIP: 1}
    assert (outcomes(today["totals"][0]), today["totals"][0]["conversion_rate"]) == (NOTHING | {"open": 1}, None)


async def test_what_is_given_back_stays_converted_and_a_payment_that_comes_later_is_counted_on_the_day_of_its_checkout(
    world: World,
):
    stage = world.mine.stage
    await start(stage, DAY, ref="cs_1")
    await page(stage, "1", DAY, payment_status="unpaid")
    before = (await told(world.mine, "checkouts", **PERIOD))["totals"][0]
    late = session("1", created=stamp(DAY), payment_status="paid")
    await stage.tell(event("checkout.session.async_payment_succeeded", late, at=stamp(DAY + timedelta(days=9))))

    after = (await told(world.mine, "checkouts", **PERIOD))["totals"][0]
    assert (before["open"], before["conversion_rate"]) == (1, None)
    assert (after["paid"], after["open"], after["conversion_rate"]) == (1, 0, "1.0000")


async def test_a_checkout_of_several_things_is_one_checkout_and_one_of_each_thing(world: World):
    stage = world.mine.stage
    await add_price(stage, "yen", 900, [], refs=[], currency="JPY")
    for n, sells in (("1", (PACK, COURSE)), ("2", (PACK,)), ("3", ("yen",))):
        await start(stage, DAY, ref=f"cs_{n}", sells=sells)
    await page(stage, "1", DAY)

    whole = await told(world.mine, "checkouts", **PERIOD)
    only = await told(world.mine, "checkouts", price=ids.show(ids.PRICE, stage.prices[COURSE]), **PERIOD)

    assert [row["started"] for row in whole["totals"]] == [3]
    by_key = {
        row["offer"]["lookup_key"]: (row["started"], row["paid"], row["offer"]["currency"]) for row in whole["data"]
    }
    assert by_key == {PACK: (2, 1, "EUR"), COURSE: (1, 1, "EUR"), "yen": (1, 0, "JPY")}
    assert [(row["started"], row["paid"]) for row in only["totals"] + only["by_day"] + only["data"]] == [(1, 1)] * 3


async def test_days_are_those_of_the_business_and_bounds_are_half_open(world: World):
    stage = world.mine.stage
    midnight = datetime(2026, 3, 10, tzinfo=UTC)
    for at in (midnight - timedelta(microseconds=1), midnight, midnight + timedelta(days=1, microseconds=-1)):
        await start(stage, at, ref=None)
    await start(stage, midnight + timedelta(days=1))
    asked = {"first_day": "2026-03-10", "last_day": "2026-03-10"}

    in_utc = await told(world.mine, "checkouts", **asked)
    await world.mine.send("PUT", "/v1/time-zone", {"time_zone": "America/New_York"})
    in_new_york = await told(world.mine, "checkouts", **PERIOD)

    assert [row["started"] for row in in_utc["totals"]] == [2]
    assert {row["day"]: row["started"] for row in in_new_york["by_day"]} == {"2026-03-09": 2, "2026-03-10": 2}


async def test_a_gateway_that_does_not_tell_of_its_pages_is_understood_by_what_names_the_order(world: World):
    dodo = replace(await second_account(world.mine.stage, gateway="dodo", name="Dodo"), gateway="dodo")
    paid = await start(dodo, utc_now() - timedelta(days=2), ref="cks_1")
    await start(dodo, utc_now() - timedelta(days=2), ref="cks_2")
    await start(dodo, utc_now(), ref="cks_3")
    payment = {
        "payment_id": "pay_1",
        "status": "succeeded",
        "total_amount": 5000,
        "currency": "EUR",
        "customer": {"customer_id": "cus_1", "email": "ann@example.org", "name": "Ann"},
        "metadata": {"bursar_order": paid},
        "created_at": utc_now().isoformat(),
    }
    body = {
        "type": "payment.succeeded",
        "timestamp": utc_now().isoformat(),
        "data": payment | {"payload_type": "Payment"},
    }
    await dodo.deliver(body, headers={"webhook-id": "msg_1"})
    await dodo.apply()

    row = (await told(world.mine, "checkouts"))["totals"][0]

    assert outcomes(row) == NOTHING | {"paid": 1, "lost": 1, "open": 1}


async def test_play_money_is_counted_apart_and_the_other_business_not_at_all(world: World):
    play = await second_account(world.mine.stage, gateway="sandbox", name="Play")
    for stage in (world.mine.stage, play, play, world.theirs.stage):
        await start(stage, DAY)
    await play.tell(
        event("customer.subscription.created", subscription(id="sub_play", metadata={"bursar_price": MEMBERSHIP}))
    )
    await world.theirs.stage.tell(event("customer.subscription.created", subscription(id="sub_theirs")))

    mine, theirs = [await told(caller, "checkouts", **PERIOD) for caller in (world.mine, world.theirs)]
    mix = await told(world.mine, "plans")
    asked = {"gateway_account": ids.show(ids.GATEWAY_ACCOUNT, world.theirs.stage.account_id)}
    price = {"price": ids.show(ids.PRICE, world.theirs.stage.prices[PACK])}
    refused = [
        await world.mine.get("/v1/reports/checkouts", **asked),
        await world.mine.get("/v1/reports/checkouts", **price),
        await world.mine.get("/v1/reports/trials", **asked),
    ]

    assert [(row["is_sandbox"], row["started"]) for row in mine["totals"]] == [(False, 1), (True, 2)]
    assert [(row["is_sandbox"], row["started"]) for row in theirs["totals"]] == [(False, 1)]
    assert [(row["is_sandbox"], row["subscriptions"]) for row in mix["totals"]] == [(True, 1)]
    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(404, "filter_not_found")] * 3


async def test_a_trial_counts_when_it_ends_and_is_paid_by_money_that_comes_after_it(world: World, admin_url: str):
    stage = world.mine.stage
    begun, ends = DAY - timedelta(days=14), DAY
    trial = {"created": stamp(begun), "trial_start": stamp(begun), "trial_end": stamp(ends)}
    for n, status in (("paid", "active"), ("lost", "canceled"), ("open", "past_due"), ("early", "canceled")):
        await stage.tell(
            event("customer.subscription.created", subscription("trialing", id=f"sub_{n}", **trial), at=stamp(begun))
        )
        more = {"ended_at": stamp(ends), "canceled_at": stamp(ends)} if status == "canceled" else {}
        now = subscription(status, id=f"sub_{n}", **trial, **more)
        await stage.tell(event("customer.subscription.updated", now, at=stamp(ends + timedelta(hours=1))))
    for n, at in (
        ("paid", ends),
        ("early", begun),
    ):  # "early" paid something when the trial began, and nothing after it
        line = {"subscription": f"sub_{n}"}
        paid = invoice(f"of_{n}", created=stamp(at), status_transitions={"paid_at": stamp(at)}, **line)
        paid["lines"]["data"][0] |= line | {"period": {"start": stamp(at), "end": stamp(at + timedelta(days=30))}}
        await stage.tell(event("invoice.paid", paid, at=stamp(at)))
    await stage.tell(event("customer.subscription.created", subscription(id="sub_never", created=stamp(begun))))

    report = await told(world.mine, "trials", **PERIOD)
    earlier = await told(world.mine, "trials", first_day="2026-02-20", last_day="2026-03-09")

    row = report["totals"][0]
    assert [row[name] for name in ("ended", "paid", "open", "lost", "conversion_rate")] == [4, 1, 1, 2, "0.3333"]
    assert [(r["day"], r["ended"]) for r in report["by_day"]] == [("2026-03-10", 4)]
    assert [(r["offer"]["lookup_key"], r["ended"]) for r in report["data"]] == [(MEMBERSHIP, 4)]
    assert earlier["totals"] == earlier["data"] == []


async def test_plans_share_the_recurring_revenue_of_their_currency_and_agree_with_the_installations_figures(
    world: World, admin_url: str
):
    stage = world.mine.stage
    await add_price(stage, "yearly", 12_000, [], interval="year", refs=["price_year"])
    await add_price(stage, "yen", 900, [], interval="month", refs=["price_yen"], currency="JPY")
    held = [
        ("price_member", "active"),
        ("price_member", "past_due"),
        ("price_member", "trialing"),
        ("price_year", "active"),
    ]
    held += [("price_yen", "active"), ("price_unknown", "active"), ("price_year", "canceled")]
    for n, (price, status) in enumerate(held):
        item = {"id": f"si_{n}", "quantity": 1, "price": {"id": price}}
        items = {"items": {"object": "list", "data": [item]}}
        await stage.tell(event("customer.subscription.created", subscription(status, id=f"sub_{n}", **items)))
    admin = await asyncpg.connect(admin_url)
    await admin.execute("update subscription set canceled_at = now() - interval '3 days' where status = 'canceled'")
    await admin.close()

    mix = await told(world.mine, "plans")
    sums = await summed(stage.db, now=utc_now())

    rows = [
        (
            r["offer"] and r["offer"]["lookup_key"],
            r["active"],
            r["past_due"],
            r["trialing"],
            r["mrr_minor"],
            r["mrr_share"],
        )
        for r in mix["data"]
    ]
    assert rows == [
        (MEMBERSHIP, 1, 1, 1, 4000, "0.8000"),
        ("yearly", 1, 0, 0, 1000, "0.2000"),
        ("yen", 1, 0, 0, 900, "1.0000"),
        (None, 1, 0, 0, None, None),
    ]
    totals = {row["currency"]: (row["mrr_minor"], row["arr_minor"], row["subscriptions"]) for row in mix["totals"]}
    assert totals == {"EUR": (5000, 60_000, 3), "JPY": (900, 10_800, 1)}
    assert totals["EUR"][:2] == (round(sums["mrr_minor", "EUR", ""]), round(sums["arr_minor", "EUR", ""]))
    churn = mix["churn"][0]
    assert (churn["begun"], churn["lost"], churn["rate"]) == (7, 1, "0.1429")
    assert churn["begun"] == sums["subscriptions_month_begun", "", ""]
    assert churn["lost"] == sums["subscriptions_month_lost", "", ""]


async def test_of_nothing_there_is_no_row_and_no_rate(world: World):
    for name in ("checkouts", "trials"):
        report = await told(world.mine, name, **PERIOD)
        assert (report["data"], report["by_day"], report["totals"]) == ([], [], [])
    mix = await told(world.mine, "plans")
    assert (mix["data"], mix["totals"], mix["churn"]) == ([], [], [])


HOSTILE = [
    {"first_day": "2026-02-30"}, {"first_day": "0001-01-01"}, {"last_day": "9999-12-31"}, {"first_day": "2026-03-11", "last_day": "2026-03-01"},
    {"first_day": "2020-01-01", "last_day": "2026-01-01"}, {"price": "' or 1=1 --"}, {"price": "price_"}, {"gateway_account": "\x00"},
    {"first_day": "2026-03-01\x00"}, {"day": "today"}, {"price": "x" * 9000}, {"gateway_account": "gwa_" + "z" * 26},
]  # fmt: skip


async def test_what_cannot_be_asked_is_refused_and_never_an_error_of_ours(shared_world: World):
    for asked in HOSTILE:
        for name in ("checkouts", "trials", "plans"):
            answer = await shared_world.mine.get(f"/v1/reports/{name}", **asked)
            assert answer.status_code in (400, 404, 422), (name, asked, answer.text)
            assert answer.json()["code"]


async def test_they_need_the_permission_to_read_what_they_count(shared_world: World):
    made = await shared_world.mine.post("/v1/api-keys", {"name": "payments only", "scopes": ["payments:read"]})
    narrow = Caller(shared_world.mine.stage, made.json()["key"], shared_world.http)

    codes = [(await narrow.get(f"/v1/reports/{name}")).status_code for name in ("checkouts", "trials", "plans")]

    assert codes == [200, 403, 403]


async def test_sheets_have_a_row_for_each_offer_and_no_formula(world: World):
    stage = world.mine.stage
    async with stage.db.tenant(stage.tenant_id) as tx:
        await tx.execute("update product set name = '=1+1' where name = $1", PACK)
    await start(stage, DAY, ref="cs_1")
    await page(stage, "1", DAY)
    await stage.tell(event("customer.subscription.created", subscription()))
    wants = world.mine.headers | {"accept": "text/csv"}

    checkouts = await world.http.get("/v1/reports/checkouts", params=PERIOD, headers=wants)
    plans = await world.http.get("/v1/reports/plans", headers=wants)

    (sold,) = csv.DictReader(io.StringIO(checkouts.text))
    (plan,) = csv.DictReader(io.StringIO(plans.text))
    assert (sold["product"], sold["started"], sold["paid"], sold["conversion_rate"]) == ("'=1+1", "1", "1", "1.0000")
    assert (plan["lookup_key"], plan["mrr_minor"], plan["mrr_share"]) == (MEMBERSHIP, "2000", "1.0000")
    assert 'filename="checkouts_2026-03-09_2026-03-11.csv"' in checkouts.headers["content-disposition"]


async def test_more_than_one_report_may_read_are_refused_even_where_few_are_shown(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    for sells in ((PACK,), (PACK,), (COURSE,)):
        await start(world.mine.stage, DAY, sells=sells)
    only = {"price": ids.show(ids.PRICE, world.mine.stage.prices[COURSE])}

    monkeypatch.setattr(conversion, "CHECKOUTS_MAX", 2)
    refused = [await world.mine.get("/v1/reports/checkouts", **PERIOD, **more) for more in ({}, only)]
    monkeypatch.setattr(conversion, "CHECKOUTS_MAX", 3)
    shown = await told(world.mine, "checkouts", **PERIOD, **only)

    assert [(answer.status_code, answer.json()["code"]) for answer in refused] == [(422, "report_too_large")] * 2
    assert [row["started"] for row in shown["totals"]] == [1]
