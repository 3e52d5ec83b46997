"""The daily summary: every figure is that of a query by hand, in any zone, on any day, in any order of what is told."""

import csv
import io
from collections import Counter
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from days_of_business import history, second_account

from api.conftest import Caller, World
from bursar.kernel import ids
from stage import event, intent, invoice

pytestmark = pytest.mark.anyio

PERIOD = {"first_day": "2025-10-20", "last_day": "2026-03-31"}

BY_HAND = """
select (p.created_at at time zone $2)::date::text as day, p.gateway_account_id, p.currency, p.status, count(*) as payments,
  sum(p.amount_minor)::bigint as amount_minor
from payment p
where p.tenant_id = $1 and p.superseded_by is null
  and (p.created_at at time zone $2)::date between $3::text::date and $4::text::date
group by 1, 2, 3, 4
"""


async def by_hand(caller: Caller, zone: str, first: str, last: str) -> dict[tuple[str, ...], tuple[int, int]]:
    rows = await caller.stage.rows(BY_HAND, caller.stage.tenant_id, zone, first, last)
    return {
        (row["day"], ids.show(ids.GATEWAY_ACCOUNT, row["gateway_account_id"]), row["currency"], row["status"]): (
            row["payments"],
            row["amount_minor"],
        )
        for row in rows
    }


def told(report: dict[str, Any]) -> dict[tuple[str, ...], tuple[int, int]]:
    return {
        (row["day"], row["gateway_account"], row["currency"], status): (sums["payments"], sums["amount_minor"])
        for row in report["data"]
        for status, sums in row["by_status"].items()
    }


async def report(caller: Caller, **asked: str) -> dict[str, Any]:
    answer = await caller.get("/v1/reports/daily-payments", **asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def zoned(caller: Caller, zone: str) -> None:
    answer = await caller.send("PUT", "/v1/time-zone", {"time_zone": zone})
    assert answer.status_code == 200, answer.text


async def test_every_figure_is_that_of_a_query_by_hand_in_every_zone(world: World):
    mine = world.mine
    await mine.stage.tell(*history(1))
    second = await second_account(mine.stage, gateway="stripe", name="Second shop")
    await second.tell(*history(2))
    await world.theirs.stage.tell(*history(3)[:40])

    for zone in ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"):
        await zoned(mine, zone)
        shown = await report(mine, **PERIOD)
        expected = await by_hand(mine, zone, PERIOD["first_day"], PERIOD["last_day"])

        assert told(shown) == expected
        assert shown["period"]["time_zone"] == zone
        assert len({key[2] for key in expected}) == 3
        assert {key[3] for key in expected} == {"succeeded", "failed", "requires_action", "processing", "canceled"}


async def test_totals_are_the_sums_of_their_days_and_never_of_two_currencies(world: World):
    mine = world.mine
    await mine.stage.tell(*history(1))
    await (await second_account(mine.stage, gateway="stripe", name="Second shop")).tell(*history(2))

    shown = await report(mine, **PERIOD)

    by_currency: Counter[tuple[str, str]] = Counter()
    by_gateway: Counter[tuple[str, str, str]] = Counter()
    for (_, account, currency, status), (_, amount_minor) in told(shown).items():
        by_currency[currency, status] += amount_minor
        by_gateway[account, currency, status] += amount_minor
    assert {
        (t["currency"], s): v["amount_minor"] for t in shown["totals"] for s, v in t["by_status"].items()
    } == by_currency
    assert {
        (t["gateway_account"], t["currency"], s): v["amount_minor"]
        for t in shown["by_gateway"]
        for s, v in t["by_status"].items()
    } == by_gateway
    assert [t["currency"] for t in shown["totals"]] == ["EUR", "JPY", "KWD"]


async def test_rates_are_of_what_was_decided_and_are_one_together(world: World):
    at = 1_760_000_000
    failed = {"status": "requires_payment_method", "last_payment_error": {"code": "card_declined"}}
    await world.mine.stage.tell(
        *(event("payment_intent.succeeded", intent(str(n), created=at), at=at) for n in range(2)),
        event("payment_intent.payment_failed", intent("8", created=at, **failed), at=at),
        event("payment_intent.processing", intent("9", created=at, status="processing"), at=at),
        event("payment_intent.processing", intent("10", created=at, status="processing", currency="usd"), at=at),
        event("payment_intent.succeeded", intent("11", created=at, currency="gbp"), at=at),
        *(
            event("payment_intent.payment_failed", intent(str(n), created=at, currency="gbp", **failed), at=at)
            for n in range(12, 43)
        ),
    )

    eur, gbp, usd = (await report(world.mine, first_day="2025-10-09", last_day="2025-10-09"))["data"]

    assert (eur["payments"], eur["success_rate"], eur["failure_rate"]) == (4, "0.6667", "0.3333")
    assert (gbp["payments"], gbp["success_rate"], gbp["failure_rate"]) == (32, "0.0313", "0.9687")  # half is rounded up
    assert (usd["payments"], usd["success_rate"], usd["failure_rate"]) == (1, None, None)


async def test_any_order_repetition_and_batching_of_what_is_told_gives_the_same_report(world: World):
    events, random = history(1), Random(7)
    await world.mine.stage.tell(*events)
    for _ in range(2):
        shuffled = events + random.choices(events, k=10)
        random.shuffle(shuffled)
        while shuffled:
            size = random.randint(20, 60)
            await world.theirs.stage.deliver(*shuffled[:size])
            await world.theirs.stage.apply()
            del shuffled[:size]
        await world.theirs.post("/v1/gateway-event-replays", {"filter": {}, "reason": "again"})
        await world.theirs.stage.apply()

    mine, theirs = await report(world.mine, **PERIOD), await report(world.theirs, **PERIOD)

    assert sorted((k[0], *k[2:], *v) for k, v in told(mine).items()) == sorted(
        (k[0], *k[2:], *v) for k, v in told(theirs).items()
    )
    assert mine["totals"] == theirs["totals"]


async def test_a_day_begins_at_midnight_of_the_business(world: World):
    # 23:59:59 and 00:00:00 in New York, on the evening before in UTC's next day.
    last, first = 1_767_157_199, 1_767_157_200
    await world.mine.stage.tell(
        event("payment_intent.succeeded", intent("1", created=last), at=last),
        event("payment_intent.succeeded", intent("2", created=first), at=first),
    )
    await zoned(world.mine, "America/New_York")

    shown = await report(world.mine, first_day="2025-12-30", last_day="2025-12-31")

    assert [(row["day"], row["payments"]) for row in shown["data"]] == [("2025-12-30", 1), ("2025-12-31", 1)]
    assert shown["period"] == {
        "time_zone": "America/New_York",
        "first_day": "2025-12-30",
        "last_day": "2025-12-31",
        "starts_at": "2025-12-30T05:00:00Z",
        "ends_at": "2026-01-01T05:00:00Z",
    }


async def test_a_zone_changed_later_cuts_the_days_gone_by_anew_and_changes_no_sum(world: World):
    await world.mine.stage.tell(*history(1))
    before = await report(world.mine, **PERIOD)

    await zoned(world.mine, "Pacific/Apia")
    after = await report(world.mine, **PERIOD)

    assert told(before) != told(after)
    assert before["totals"] == after["totals"]
    assert told(after) == await by_hand(world.mine, "Pacific/Apia", PERIOD["first_day"], PERIOD["last_day"])


async def test_a_stand_in_is_counted_until_its_payment_is_known_and_then_no_more(world: World):
    at = 1_760_000_000
    await world.mine.stage.tell(event("invoice.paid", invoice("1", layout="new"), at=at))
    known = (await report(world.mine, first_day="2025-10-09", last_day="2025-10-09"))["totals"]
    await world.mine.stage.tell(
        event("payment_intent.succeeded", intent("1", amount=2000, amount_received=2000, invoice="in_1"), at=at),
    )

    shown = await report(world.mine, first_day="2025-10-09", last_day="2025-10-09")

    assert [t["payments"] for t in known] == [1]
    assert [t["payments"] for t in shown["totals"]] == [1]
    assert told(shown) == await by_hand(world.mine, "UTC", "2025-10-09", "2025-10-09")


async def test_play_money_is_never_added_to_real_money(world: World):
    at = 1_760_000_000
    play = await second_account(world.mine.stage, gateway="sandbox", name="Play")
    await world.mine.stage.tell(event("payment_intent.succeeded", intent("1", created=at), at=at))
    await play.tell(event("payment_intent.succeeded", intent("1", created=at), at=at))

    shown = await report(world.mine, first_day="2025-10-09", last_day="2025-10-09")

    assert [(t["is_sandbox"], t["currency"], t["payments"]) for t in shown["totals"]] == [
        (False, "EUR", 1),
        (True, "EUR", 1),
    ]


async def test_a_report_of_one_account_is_only_of_it(world: World):
    await world.mine.stage.tell(*history(1))
    second = await second_account(world.mine.stage, gateway="stripe", name="Second shop")
    await second.tell(*history(2)[:20])
    account = ids.show(ids.GATEWAY_ACCOUNT, second.account_id)

    shown = await report(world.mine, gateway_account=account, **PERIOD)

    assert {row["gateway_account"] for row in shown["data"]} == {account}
    assert {row["account_name"] for row in shown["data"]} == {"Second shop"}


async def test_the_sheet_has_the_same_figures(world: World):
    await world.mine.stage.tell(*history(1))
    await zoned(world.mine, "Europe/Berlin")

    shown = await report(world.mine, **PERIOD)
    sheet = await world.http.get(
        "/v1/reports/daily-payments", params=PERIOD, headers=world.mine.headers | {"accept": "text/csv"}
    )

    rows = list(csv.DictReader(io.StringIO(sheet.text)))
    assert sheet.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert sheet.headers["content-disposition"] == ('attachment; filename="daily-payments_2025-10-20_2026-03-31.csv"')
    assert {row["time_zone"] for row in rows} == {"Europe/Berlin"}
    assert {
        (row["day"], row["gateway_account"], row["currency"], row["status"]): (
            int(row["payments"]),
            int(row["amount_minor"]),
        )
        for row in rows
    } == told(shown)


async def test_nobody_sees_anothers_figures(world: World):
    await world.theirs.stage.tell(*history(1))
    theirs = ids.show(ids.GATEWAY_ACCOUNT, world.theirs.stage.account_id)

    shown = await report(world.mine, **PERIOD)
    asked = await world.mine.get("/v1/reports/daily-payments", gateway_account=theirs, **PERIOD)

    assert (shown["data"], shown["by_gateway"], shown["totals"]) == ([], [], [])
    assert (asked.status_code, asked.json()["code"]) == (404, "filter_not_found")


async def test_days_that_are_none_or_too_many_are_refused(world: World):
    for asked, code in (
        ({"first_day": "2026-01-02", "last_day": "2026-01-01"}, "period_invalid"),
        ({"first_day": "2025-01-01", "last_day": "2026-01-02"}, "period_invalid"),
        ({"first_day": "1999-12-31", "last_day": "2000-01-01"}, "period_invalid"),
        ({"first_day": "9999-12-31", "last_day": "9999-12-31"}, "period_invalid"),
        ({"last_day": "0001-01-01"}, "period_invalid"),
        ({"first_day": "2026-02-30"}, "invalid"),
        ({"first_day": "1767157199"}, "invalid"),
        ({"zone": "UTC"}, "invalid"),
    ):
        answer = await world.mine.get("/v1/reports/daily-payments", **asked)

        assert (answer.status_code, answer.json()["code"]) == (422, code), asked


async def test_without_days_it_is_the_last_thirty_of_the_business(world: World):
    await zoned(world.mine, "Pacific/Kiritimati")

    period = (await report(world.mine))["period"]

    today = world.app.api.state.resources.now().astimezone(ZoneInfo("Pacific/Kiritimati")).date()
    assert period["last_day"] == today.isoformat()
    assert (today - type(today).fromisoformat(period["first_day"])).days == 29


async def test_a_zone_that_is_none_is_refused_and_nothing_changes(world: World):
    await zoned(world.mine, "Europe/Berlin")

    for zone in (
        "Mars/Olympus",
        "../etc/passwd",
        "localtime",
        "Factory",
        "",
        "CEST",
        "Europe/berlin",
        "Europe/Berlin ",
    ):
        answer = await world.mine.send("PUT", "/v1/time-zone", {"time_zone": zone})

        assert (answer.status_code, answer.json()["code"] in ("time_zone_unknown", "invalid")) == (422, True), zone
    assert (await world.mine.get("/v1/time-zone")).json() == {"time_zone": "Europe/Berlin"}
    assert (await world.theirs.get("/v1/time-zone")).json() == {"time_zone": "UTC"}


async def test_a_changed_zone_is_written_down_once(world: World):
    for _ in range(2):
        await zoned(world.mine, "Europe/Berlin")

    records = await world.mine.data("/v1/audit-records", action="tenant.time_zone_changed")

    assert [record["changes"] for record in records] == [{"time_zone": {"before": "UTC", "after": "Europe/Berlin"}}]
