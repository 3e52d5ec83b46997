"""Figures of the business: summed over every tenant by a job, without a tenant's name, and shown to Prometheus."""

import re
from typing import Any

import asyncpg
import pytest

from api.conftest import running
from bursar.bootstrap import JOBS, SCHEDULES
from bursar.health.figures import summed
from bursar.kernel.clock import utc_now
from bursar.kernel.jobs import Timetable
from draining import drain
from reports.till import start
from stage import charge, event, invoice, session, set_stage, subscription

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stages(db, database_url):
    """Two businesses, each with a membership and a payment of today."""
    made = [await set_stage(db, database_url, name=name) for name in ("Mine", "Theirs")]
    now = int(utc_now().timestamp())
    for stage in made:
        await stage.tell(
            event("checkout.session.completed", session(created=now)),
            event("charge.succeeded", charge(created=now)),
            event("customer.subscription.created", subscription()),
            event("invoice.paid", invoice("2")),
            event("customer.subscription.created", tried(now - 90_000)),
        )
        await start(stage, utc_now())
    return made


def tried(ended: int) -> dict[str, Any]:
    """A subscription that was over with its trial."""
    trial = {"created": ended - 600_000, "trial_start": ended - 600_000, "trial_end": ended}
    return subscription("canceled", id="sub_tried", ended_at=ended, canceled_at=ended, **trial)


async def test_figures_are_sums_over_all_tenants(db, stages):
    sums = await summed(db, now=utc_now())

    assert sums["tenants", "", ""] == 2
    assert sums["subscriptions", "active", ""] == 2
    assert sums["mrr_minor", "EUR", ""] == 4000
    assert sums["payments_day", "stripe", "succeeded"] == 2
    assert sums["captured_day_minor", "EUR", ""] == 10_000
    assert sums["payments_month", "stripe", ""] == 2
    assert sums["events_hour", "stripe", "applied"] == 10
    assert sums["checkouts_month", "stripe", "open"] == 2
    assert sums["trials_month", "stripe", "lost"] == 2
    assert (sums["plan_subscriptions", "EUR", "month"], sums["plan_mrr_minor", "EUR", "month"]) == (2, 4000)
    assert not any(stage.tenant_id.hex in "".join(labels) for stage in stages for labels in sums)


async def test_churn_is_the_share_of_those_that_ran_a_month_ago_and_ended_since(db, database_url, admin_url):
    stage = await set_stage(db, database_url)
    for number in range(1, 7):
        await stage.tell(event("customer.subscription.created", subscription(id=f"sub_{number}")))
    admin = await asyncpg.connect(admin_url)
    for reference, changed in {
        "sub_2": "status = 'canceled', ended_at = now() - interval '3 days'",  # lost
        "sub_3": "status = 'canceled', canceled_at = now() - interval '29 days'",  # lost, its end never reported
        "sub_4": "status = 'canceled', ended_at = now() - interval '31 days'",  # before
        "sub_5": "status = 'canceled', trial_end = now() - interval '2 days', ended_at = now() - interval '2 days'",  # a trial
        "sub_6": "created_at = now() - interval '5 days', status = 'canceled', ended_at = now() - interval '1 day'",  # new since
    }.items():
        await admin.execute(f"update subscription set {changed} where gateway_ref = $1", reference)
    await admin.close()

    sums = await summed(db, now=utc_now())

    assert (sums["subscriptions_month_begun", "", ""], sums["subscriptions_month_lost", "", ""]) == (3, 2)
    assert sums["mrr_month_lost_minor", "EUR", ""] == 4000
    assert (sums["mrr_minor", "EUR", ""], sums["arr_minor", "EUR", ""]) == (2000, 24_000)


async def test_recurring_revenue_is_that_of_a_month(db, database_url, admin_url):
    stage = await set_stage(db, database_url)
    await stage.tell(event("customer.subscription.created", subscription()))
    admin = await asyncpg.connect(admin_url)
    monthly = []
    for terms in (("year", 1), ("week", 2), ("month", 3)):
        changed = "update price set amount_minor = 12000, interval = $1, interval_count = $2 where interval is not null"
        await admin.execute(changed, *terms)
        monthly.append(round((await summed(db, now=utc_now()))["mrr_minor", "EUR", ""], 6))
    await admin.close()

    assert monthly == [1000, 26_000, 4000]


async def test_the_job_writes_them_and_whoever_watches_reads_them(db, database_url, stages):
    await Timetable([one for one in SCHEDULES if one.name == "health.figures"]).tend(db)
    await drain(stages[0], JOBS)
    await drain(stages[0], JOBS)

    async with running(database_url) as (_, http):
        text = (await http.get("/metrics")).text
        health = (await http.get("/health")).json()

    assert 'bursar_mrr_minor{currency="EUR"} 4000.0' in text
    assert 'bursar_arr_minor{currency="EUR"} 48000.0' in text
    assert "bursar_subscriptions_month_begun 2.0" in text
    assert "bursar_subscriptions_month_lost 0.0" in text
    assert 'bursar_payments_day{gateway="stripe",status="succeeded"} 2.0' in text
    assert 'bursar_subscriptions{status="active"} 2.0' in text
    assert 'bursar_checkouts_month{gateway="stripe",outcome="open"} 2.0' in text
    assert 'bursar_trials_month{gateway="stripe",outcome="lost"} 2.0' in text
    assert 'bursar_plan_mrr_minor{currency="EUR",interval="month"} 4000.0' in text
    assert 'bursar_health{part="queue"} 0.0' in text
    assert 'bursar_pool_connections{state="max"} 20.0' in text
    assert re.search(r'bursar_health_figure\{figure="free_bytes",part="disk"\} [1-9]', text)
    assert re.search(r"process_resident_memory_bytes [1-9]", text)
    assert 0 <= health["parts"]["figures"]["figures"]["age_s"] < 60
    assert "ten_" not in text


async def test_a_business_more_adds_no_line(db, database_url, stages):
    async def lines() -> int:
        async with db.engine() as tx:
            await tx.execute("delete from installation_figure")
        await drain(stages[0], JOBS)
        async with running(database_url) as (_, http):
            return len((await http.get("/metrics")).text.splitlines())

    await Timetable([one for one in SCHEDULES if one.name == "health.figures"]).tend(db)
    before = await lines()
    third = await set_stage(db, database_url, name="Third")
    await third.tell(event("customer.subscription.created", subscription()))
    async with db.engine() as tx:
        await tx.execute("update job_tick set tick = tick - interval '1 hour'")
    await Timetable([one for one in SCHEDULES if one.name == "health.figures"]).tend(db)

    assert await lines() == before
