"""What a month of a business with years of checkouts costs is a month's, whatever else there is, and is read by index."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from api.conftest import World, two_businesses
from bursar.kernel import ids
from bursar.money.reports import conversion, trials
from databases import fresh_database, opened

pytestmark = pytest.mark.anyio

CHECKOUTS, DAYS = 30_000, 1_000
TODAY = datetime(2026, 11, 20, tzinfo=UTC)
MONTH = CHECKOUTS * 30 // DAYS

_UUID = "(lpad(to_hex((extract(epoch from {at}) * 1000)::bigint), 12, '0') || '7000' || '8' || lpad(to_hex(n), 15, '0'))::uuid"

# One business: its checkouts evenly over the days, every second one paid; its trials too, every second one paid.
_FILL = f"""
create temporary table made on commit drop as
select n, at, {_UUID.format(at="at")} as id, 'cs_' || n as ref from (
  select n, '{{today}}'::timestamptz - n * interval '{DAYS} days' / {{checkouts}} as at from generate_series(1, {{checkouts}}) as n) x;
insert into customer_order (tenant_id, id, lines, created_at)
select '{{tenant}}', id, jsonb_build_array(jsonb_build_object('price', '{{price}}', 'quantity', 1)), at from made;
insert into gateway_call (tenant_id, id, gateway_account_id, key, operation, subject, asker, actor, request, state, ref, created_at, ended_at)
select '{{tenant}}', id, '{{account}}', ref, 'create_checkout', 'cs', '', 'operator', 'x', 'succeeded', ref, at, at from made;
insert into checkout (tenant_id, id, gateway_account_id, order_id, call_id, mode, actor, created_at)
select '{{tenant}}', id, '{{account}}', id, id, 'payment', 'operator', at from made;
insert into checkout_session (tenant_id, id, gateway_account_id, gateway_ref, purchase_id, mode, status, payment_status, expires_at, created_at)
select '{{tenant}}', id, '{{account}}', ref, id, 'payment', case when n % 2 = 0 then 'complete' else 'expired' end,
  case when n % 2 = 0 then 'paid' else 'unpaid' end, at + interval '1 day', at from made;
insert into subscription (tenant_id, id, gateway_account_id, gateway_ref, price_id, status, trial_end, created_at)
select '{{tenant}}', id, '{{account}}', 'sub_' || n, '{{price_id}}', case when n % 2 = 0 then 'active' else 'canceled' end, at,
  at - interval '14 days' from made where n % 5 = 0;
insert into purchase (tenant_id, id, gateway_account_id, subscription_ref, is_paid, paid_minor, currency, paid_at, touched_at)
select '{{tenant}}', id, '{{account}}', 'sub_' || n, true, 2000, 'EUR', at + interval '1 hour', at from made where n % 10 = 0;
"""


@dataclass
class Filled:
    world: World
    days: Any


@pytest.fixture(scope="module")
def anyio_backend():
    return "asyncio"


@pytest.fixture(scope="module")
def urls(cluster: dict[str, str]) -> Iterator[dict[str, str]]:
    with fresh_database(cluster) as made:
        yield made


@pytest.fixture(scope="module")
async def world(urls: dict[str, str]) -> AsyncIterator[World]:
    async with opened(urls["app"]) as db, two_businesses(db, urls["app"]) as world:
        admin = await asyncpg.connect(urls["admin"])
        for caller, checkouts in ((world.mine, CHECKOUTS), (world.theirs, 1_000)):
            of, price = caller.stage, caller.stage.prices["membership"]
            filled = _FILL.format(
                today=TODAY,
                checkouts=checkouts,
                tenant=of.tenant_id,
                account=of.account_id,
                price=ids.show(ids.PRICE, price),
                price_id=price,
            )
            async with admin.transaction():
                await admin.execute("set local session_replication_role = replica")
                await admin.execute(filled)
        await admin.execute("vacuum analyze")
        await admin.close()
        yield world


MONTH_AGO = TODAY - timedelta(days=30)
BOUNDS = [MONTH_AGO + timedelta(days=n) for n in range(30)]
_SPAN = (ids.least_at(MONTH_AGO - timedelta(days=1)), ids.least_at(TODAY + timedelta(days=1)), MONTH_AGO, TODAY)
_JUDGING = (*_SPAN, None, TODAY, [], [], conversion.CHECKOUTS_MAX)

HOT: dict[str, tuple[str, tuple[object, ...], tuple[str, ...], int]] = {
    "checkouts": (conversion._COHORT, (*_JUDGING, BOUNDS, None), ("checkout", "checkout_session", "gateway_call", "customer_order"), 4),
    "checkouts by gateway": (conversion._BY_GATEWAY, _JUDGING, ("checkout", "checkout_session", "gateway_call"), 3),
    "trials": (trials._COHORT, (MONTH_AGO, TODAY, BOUNDS, None), ("subscription", "purchase"), 1),
    "orders of silent gateways": (conversion._CLAIMED, ([], MONTH_AGO), ("purchase",), 1),
}  # fmt: skip


@pytest.mark.parametrize("name", HOT)
async def test_a_month_is_read_by_index(world: World, name: str):
    sql, values, tables, times = HOT[name]
    stage = world.mine.stage
    async with stage.db.tenant(stage.tenant_id) as tx:
        told = await tx.fetchval(f"explain (analyze, format json) {sql}", stage.tenant_id, *values)
    plan = json.loads(told)[0]["Plan"]

    big = [node for node in nodes(plan) if node.get("Relation Name") in tables]
    assert {node["Relation Name"] for node in big} == set(tables)
    assert {node["Node Type"] for node in big} <= {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}, big
    read = sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in big)
    assert read <= (MONTH + 2 * CHECKOUTS // DAYS) * times + 10, (name, read)


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan] + [node for child in plan.get("Plans", ()) for node in nodes(child)]


async def test_the_figures_of_that_month_are_those_of_counting_by_hand(world: World):
    asked = {"first_day": MONTH_AGO.date().isoformat(), "last_day": (TODAY - timedelta(days=1)).date().isoformat()}

    checkouts = (await world.mine.get("/v1/reports/checkouts", **asked)).json()
    tried = (await world.mine.get("/v1/reports/trials", **asked)).json()

    (total,), (of_trials,) = checkouts["totals"], tried["totals"]
    assert (total["started"], total["paid"], total["lost"]) == (MONTH, MONTH // 2, MONTH // 2)
    assert sum(row["started"] for row in checkouts["by_day"]) == MONTH
    assert (of_trials["ended"], of_trials["paid"], of_trials["lost"]) == (MONTH // 5, MONTH // 10, MONTH // 10)
