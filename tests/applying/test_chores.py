"""The worker's chores: expired credits expire, the books are looked at."""

from datetime import UTC, datetime, timedelta

import pytest

from bursar.kernel import jobs
from bursar.kernel.security import Observations
from bursar.worker.chores import Chores
from draining import drain
from stage import add_price, event, session, set_stage

pytestmark = pytest.mark.anyio

KEPT = timedelta(days=90)


async def test_lots_past_their_expiry_expire_with_a_movement_and_the_books_are_looked_at(db, database_url):
    stage = await set_stage(db, database_url)
    grants = [{"kind": "credits", "amount": 4, "expires_after": "P30D"}]
    await add_price(stage, "brief", 2000, grants, refs=[])
    await stage.tell(event("checkout.session.completed", session(metadata={"bursar_price": "brief"})))
    now = datetime.now(UTC)

    await Chores(db, security_kept=KEPT, jobs_kept=KEPT).run(now=now)
    await Chores(db, security_kept=KEPT, jobs_kept=KEPT).run(now=now + timedelta(days=36_500))

    assert await stage.row("select is_expired, remaining from credit_lot") == {"is_expired": True, "remaining": 0}
    assert await stage.rows("select kind, amount from credit_movement order by id") == [
        {"kind": "granted", "amount": 4},
        {"kind": "expired", "amount": -4},
    ]
    assert await stage.value("select failures::text from invariant_sweep") == "[]"


async def test_security_events_are_kept_for_their_time_and_then_forgotten_for_every_tenant(db, database_url):
    now = datetime.now(UTC)
    stages = [await set_stage(db, database_url, name=name) for name in ("Harbour Yoga", "Hill Yoga")]
    for age in (KEPT + timedelta(hours=2), KEPT - timedelta(hours=2), timedelta(0)):
        seen = Observations(lambda at=now - age: at)
        for stage in stages:
            seen.note(
                tenant_id=stage.tenant_id, kind="key_refused", actor="", address="192.0.2.1", detail=f"{age.days} days"
            )
        await seen.flush(db)

    await Chores(db, security_kept=KEPT, jobs_kept=KEPT).run(now=now)

    for stage in stages:
        kept = await stage.rows("select detail from security_event order by hour")
        assert [row["detail"] for row in kept] == ["89 days", "0 days"]


async def test_jobs_that_were_given_up_and_counts_are_kept_for_their_time_and_unknown_ones_for_good(db, database_url):
    stages = [await set_stage(db, database_url, name=name) for name in ("Harbour Yoga", "Hill Yoga")]

    async def refuse(work: jobs.Work) -> None:
        raise jobs.Ambiguous("who knows") if work.job.key == "doubted" else jobs.GivenUp("no")

    for stage in stages:
        async with db.tenant(stage.tenant_id) as tx:
            for key in ("refused", "doubted"):
                await jobs.enqueue(tx, tenant_id=stage.tenant_id, kind="tests.refuse", key=key, request=b"secret")
        await drain(stage, [jobs.Kind("tests.refuse", refuse)])
    now = datetime.now(UTC)

    async def kept() -> list[tuple[list[str], int]]:
        return [
            (
                [row["state"] for row in await stage.rows("select state from job order by state")],
                await stage.value("select count(*) from job_tally"),
            )
            for stage in stages
        ]

    await Chores(db, security_kept=KEPT, jobs_kept=KEPT).run(now=now + KEPT - timedelta(hours=1))
    within = await kept()
    await Chores(db, security_kept=KEPT, jobs_kept=KEPT).run(now=now + KEPT + timedelta(days=1, hours=1))

    assert within == [(["dead", "unknown"], 2)] * 2
    assert await kept() == [(["unknown"], 0)] * 2
