"""Jobs: enqueued with what causes them, done once, put off, given up; and never by two at a time."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from bursar.kernel import ids, jobs
from bursar.kernel.db import Database
from bursar.kernel.jobs import Kind, Kinds, Resources, leasing
from draining import bring_forward, drain
from stage import Stage, set_stage

pytestmark = pytest.mark.anyio


@pytest.fixture
async def stage(db: Database, database_url: str) -> Stage:
    return await set_stage(db, database_url)


@pytest.fixture
async def other(db: Database, database_url: str) -> Stage:
    return await set_stage(db, database_url, name="Other")


async def put(stage: Stage, kind: str = "tests.note", key: str = "one", **more: Any) -> UUID:
    async with stage.db.tenant(stage.tenant_id) as tx:
        return await jobs.enqueue(tx, tenant_id=stage.tenant_id, kind=kind, key=key, **more)


async def job(stage: Stage, job_id: UUID) -> dict[str, Any]:
    return await stage.row("select * from job where id = $1", job_id)


def noting(name: str = "tests.note", *, says: Exception | None = None, **more: Any) -> tuple[Kind, list[jobs.Job]]:
    """A kind whose handler writes down each attempt and then fails as it is told."""
    seen: list[jobs.Job] = []

    async def note(work: jobs.Work) -> None:
        seen.append(work.job)
        if says:
            raise says

    return Kind(name, note, **more), seen


async def test_a_job_is_done_once_with_what_it_was_given(stage, other):
    kind, seen = noting()
    job_id = await put(stage, request=b"\x00bytes")
    await put(other)

    assert await drain(stage, [kind]) == 2

    mine = next(j for j in seen if j.id == job_id)
    assert (mine.tenant_id, mine.key, mine.request, mine.attempt) == (stage.tenant_id, "one", b"\x00bytes", 1)
    assert await stage.rows("select id from job") == []
    assert await drain(stage, [kind]) == 0


async def test_a_job_whose_transaction_is_rolled_back_never_was(stage):
    with pytest.raises(ZeroDivisionError):
        async with stage.db.tenant(stage.tenant_id) as tx:
            await jobs.enqueue(tx, tenant_id=stage.tenant_id, kind="tests.note", key="one")
            raise ZeroDivisionError

    assert await stage.rows("select id from job") == []


async def test_one_job_is_open_for_a_key(stage):
    first = await put(stage)

    assert await put(stage) == first
    assert await put(stage, key="two") != first
    assert await stage.value("select count(*) from job") == 2


async def test_what_a_job_writes_stands_with_its_end(stage):
    async def rename(work: jobs.Work) -> None:
        async with work.finish() as tx:
            await tx.execute(
                "insert into product (tenant_id, id, name) values ($1, $2, 'made')", work.job.tenant_id, work.job.id
            )

    job_id = await put(stage)

    await drain(stage, [Kind("tests.note", rename)])

    assert await stage.value("select count(*) from product where id = $1", job_id) == 1
    assert await stage.rows("select id from job") == []
    assert await stage.value("select jobs from job_tally where outcome = 'done'") == 1


async def test_a_job_that_fails_is_tried_again_with_the_same_key_and_rests_as_dead(stage):
    kind, seen = noting(says=ValueError("no such thing"), attempts_max=3)
    job_id = await put(stage, request=b"same")

    for _ in range(5):
        await drain(stage, [kind])
        await bring_forward(stage)

    assert [j.attempt for j in seen] == [1, 2, 3]
    assert len({(j.idempotency_key, j.request) for j in seen}) == 1
    resting = await job(stage, job_id)
    assert (resting["state"], resting["error"]) == ("dead", "ValueError: no such thing")


async def test_what_is_postponed_uses_no_attempt(stage):
    kind, seen = noting(says=jobs.Postponed("the circuit is open", after=timedelta(hours=2)), attempts_max=1)
    job_id = await put(stage)

    for _ in range(3):
        await drain(stage, [kind])
        await bring_forward(stage)

    assert [j.attempt for j in seen] == [1, 1, 1]
    assert (await job(stage, job_id))["attempts"] == 0


async def test_what_nobody_can_tell_rests_as_unknown_and_is_not_done_again(stage):
    kind, seen = noting(says=jobs.Ambiguous("the answer was lost"))
    job_id = await put(stage)

    await drain(stage, [kind])
    await bring_forward(stage)
    await drain(stage, [kind])

    assert len(seen) == 1
    assert (await job(stage, job_id))["state"] == "unknown"
    assert await put(stage) == job_id


async def test_a_late_finish_writes_nothing(stage):
    kind, _ = noting()
    await put(stage)
    resources = Resources(stage.db, None)
    names = [(kind.name, kind)]
    (frozen,) = await leasing.claim(stage.db, names, at_most=1, after=jobs.INSTALLATION, worker="frozen")
    await stage.rows("update job set run_at = clock_timestamp() returning id")
    (taken,) = await leasing.claim(stage.db, names, at_most=1, after=jobs.INSTALLATION, worker="awake")

    with pytest.raises(jobs.LeaseLost):
        async with jobs.Work(frozen, resources).finish() as tx:
            await tx.execute("delete from job")
    assert await leasing.finish(stage.db, [frozen]) == set()

    assert taken.fence == frozen.fence + 1
    async with jobs.Work(taken, resources).finish():
        pass
    assert await stage.rows("select id from job") == []


async def test_sixteen_claimers_lease_each_job_once(stage):
    kind, _ = noting()
    async with stage.db.tenant(stage.tenant_id) as tx:
        await jobs.enqueue_all(
            tx, tenant_id=stage.tenant_id, jobs=[jobs.NewJob(kind.name, f"k{n}") for n in range(500)]
        )

    async def claim_all(worker: int) -> list[UUID]:
        mine: list[UUID] = []
        while claimed := await leasing.claim(
            stage.db, [(kind.name, kind)], at_most=7, after=ids.new(), worker=f"{worker}"
        ):
            mine += [j.id for j in claimed]
        return mine

    claimed = [job_id for part in await asyncio.gather(*map(claim_all, range(16))) for job_id in part]

    assert len(claimed) == len(set(claimed)) == 500


async def test_those_of_a_lane_are_done_in_order_and_one_at_a_time(stage):
    order, at_once, most = [], 0, 0

    async def note(work: jobs.Work) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.001)
        order.append(work.job.key)
        at_once -= 1

    for n in range(8):
        await put(stage, key=f"k{n}", lane="sub_1", priority=-n)

    await drain(stage, [Kind("tests.note", note)])

    assert order == [f"k{n}" for n in range(8)]
    assert most == 1


async def test_a_lane_waits_for_its_first_job_to_be_tried_again(stage):
    kind, seen = noting(says=jobs.Retry("not yet"), attempts_max=2)
    await put(stage, key="first", lane="sub_1")
    await put(stage, key="second", lane="sub_1")

    await drain(stage, [kind])
    assert [j.key for j in seen] == ["first"]
    await bring_forward(stage)
    await drain(stage, [kind])

    assert [j.key for j in seen] == ["first", "first", "second"]


async def test_tenants_take_turns(stage, other):
    async with stage.db.tenant(stage.tenant_id) as tx:
        many = [jobs.NewJob("tests.note", f"k{n}") for n in range(2000)]
        await jobs.enqueue_all(tx, tenant_id=stage.tenant_id, jobs=many)
    late = await put(other)
    kind, _ = noting()

    claimed = await leasing.claim(stage.db, [(kind.name, kind)], at_most=10, after=jobs.INSTALLATION, worker="w")

    assert late in {j.id for j in claimed}
    assert len(claimed) == 10


async def test_a_kind_nobody_knows_stays_where_it_is(stage):
    job_id = await put(stage, kind="tests.of_a_newer_release")
    kind, _ = noting()

    assert await drain(stage, [kind]) == 0
    assert (await job(stage, job_id))["state"] == "ready"


async def test_a_former_name_is_done_by_the_kind_that_has_it(stage):
    kind, seen = noting("tests.new_name", aliases=("tests.old_name",))
    await put(stage, kind="tests.old_name")

    await drain(stage, [kind])

    assert [j.kind for j in seen] == ["tests.old_name"]


async def test_a_name_is_taken_once():
    with pytest.raises(AssertionError, match="taken twice"):
        Kinds([noting("tests.a")[0], noting("tests.b", aliases=("tests.a",))[0]])
