"""The refund report: every figure is that of a query by hand; what people type as a reason cannot break it."""

import csv
import io
from typing import Any

import pytest
from days_of_business import history, second_account

from api.conftest import Caller, World
from bursar.kernel import ids
from bursar.money.reports.refunds import REASONS_MAX
from stage import charge, event, refund

pytestmark = pytest.mark.anyio

PERIOD = {"first_day": "2025-10-20", "last_day": "2026-03-31"}

BY_HAND = """
select r.gateway_account_id, r.reason, r.currency, r.status, count(*) as refunds, sum(r.amount_minor)::bigint as amount_minor
from refund r
where r.tenant_id = $1 and (r.created_at at time zone $2)::date between $3::text::date and $4::text::date
group by 1, 2, 3, 4
"""


async def by_hand(caller: Caller, zone: str, first: str, last: str) -> dict[tuple[Any, ...], tuple[int, int]]:
    rows = await caller.stage.rows(BY_HAND, caller.stage.tenant_id, zone, first, last)
    return {
        (ids.show(ids.GATEWAY_ACCOUNT, row["gateway_account_id"]), row["reason"], row["currency"], row["status"]): (
            row["refunds"],
            row["amount_minor"],
        )
        for row in rows
    }


def told(report: dict[str, Any]) -> dict[tuple[Any, ...], tuple[int, int]]:
    return {
        (row["gateway_account"], row["reason"], row["currency"], row["status"]): (row["refunds"], row["amount_minor"])
        for row in report["data"]
    }


async def report(caller: Caller, **asked: str) -> dict[str, Any]:
    answer = await caller.get("/v1/reports/refunds", **asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_every_figure_is_that_of_a_query_by_hand_in_every_zone(world: World):
    mine = world.mine
    await mine.stage.tell(*history(1), *history(4))
    await (await second_account(mine.stage, gateway="stripe", name="Second shop")).tell(*history(2))
    await world.theirs.stage.tell(*history(3))

    for zone in ("UTC", "Europe/Berlin", "America/New_York"):
        await mine.send("PUT", "/v1/time-zone", {"time_zone": zone})
        for first, last in (("2025-10-20", "2026-03-31"), ("2025-10-26", "2025-10-26"), ("2026-03-08", "2026-03-08")):
            shown = await report(mine, first_day=first, last_day=last)

            assert told(shown) == await by_hand(mine, zone, first, last)
            assert sum(row["refunds"] for row in shown["totals"]) == sum(n for n, _ in told(shown).values())
    assert {key[2] for key in told(await report(mine, **PERIOD))} == {"EUR", "JPY", "KWD"}
    assert {key[3] for key in told(await report(mine, **PERIOD))} == {"succeeded", "pending", "failed"}


async def test_filters_leave_only_what_was_asked_for(world: World):
    await world.mine.stage.tell(*history(1), *history(4))
    everything = told(await report(world.mine, **PERIOD))

    failed = told(await report(world.mine, status="failed", **PERIOD))
    duplicates = told(await report(world.mine, reason="duplicate", **PERIOD))

    assert failed == {key: value for key, value in everything.items() if key[3] == "failed"} != {}
    assert duplicates == {key: value for key, value in everything.items() if key[1] == "duplicate"} != {}


async def test_reasons_beyond_the_most_frequent_are_summed_and_none_is_lost(world: World):
    at = 1_760_000_000
    few = REASONS_MAX + 5
    reasons = ["=1+1", *("often" for _ in range(3)), "x" * 5000, *(f"typed {n:03}" for n in range(few))]
    await world.mine.stage.tell(
        event("charge.succeeded", charge("1", amount=500_000, amount_captured=500_000, created=at), at=at),
        *(
            event("refund.created", refund(f"{n}", amount=100 + n, reason=reason, created=at), at=at)
            for n, reason in enumerate(reasons)
        ),
    )

    asked = {"first_day": "2025-10-09", "last_day": "2025-10-09"}
    shown = await report(world.mine, **asked)
    sheet = await world.http.get(
        "/v1/reports/refunds", params=asked, headers=world.mine.headers | {"accept": "text/csv"}
    )

    others = [row for row in shown["data"] if row["is_other"]]
    assert len(shown["data"]) == REASONS_MAX + 1
    assert [(row["reason"], row["refunds"]) for row in others] == [(None, few + 3 - REASONS_MAX)]
    assert shown["totals"] == [
        {
            "currency": "EUR",
            "is_sandbox": False,
            "status": "succeeded",
            "refunds": len(reasons),
            "amount_minor": sum(100 + n for n in range(len(reasons))),
        }
    ]
    assert sum(row["amount_minor"] for row in shown["data"]) == shown["totals"][0]["amount_minor"]
    assert next(row for row in shown["data"] if row["reason"] == "often")["refunds"] == 3
    cells = {row["reason"] for row in csv.DictReader(io.StringIO(sheet.text))}
    assert "'=1+1" in cells
    assert not [cell for cell in cells if cell.startswith("=")]


async def test_it_needs_the_permission_to_read_refunds(world: World):
    made = await world.mine.post("/v1/api-keys", {"name": "payments only", "scopes": ["payments:read"]})
    narrow = Caller(world.mine.stage, made.json()["key"], world.http)

    payments, refunds = await narrow.get("/v1/reports/daily-payments"), await narrow.get("/v1/reports/refunds")
    zone = await narrow.send("PUT", "/v1/time-zone", {"time_zone": "Europe/Berlin"})

    assert (payments.status_code, refunds.status_code, zone.status_code) == (200, 403, 403)
    assert refunds.json()["code"] == "permission_missing"
