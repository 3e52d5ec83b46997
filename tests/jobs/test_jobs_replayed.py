"""What rests is shown with its reason, and done again by somebody's word: by API, command line and page, and written down."""

import pytest
import structlog

from api.conftest import caller_of, running
from api.operations import given_up
from bursar.kernel import jobs
from draining import drain
from stage import set_stage

pytestmark = pytest.mark.anyio


async def nothing(_: jobs.Work) -> None:
    return


@pytest.fixture
async def stage(db, database_url):
    return await set_stage(db, database_url)


async def test_a_dead_job_is_shown_replayed_done_and_written_down(stage, database_url):
    job = await given_up(stage)
    async with running(database_url) as (_, http):
        caller = await caller_of(stage, http)
        listed = await caller.data("/v1/jobs", state="dead", kind="tests.give_up")
        counted = (await caller.get("/v1/job-counts")).json()
        replayed = await caller.post(f"/v1/jobs/{job}/replays", {"reason": "mended"})
        again = await caller.post(f"/v1/jobs/{job}/replays")
        await drain(stage, [jobs.Kind("tests.give_up", nothing)])
        gone = await caller.get(f"/v1/jobs/{job}")
        trail = await caller.data("/v1/audit-records", action="jobs.replayed")

    assert [(j["id"], j["state"], j["error"], j["attempts"]) for j in listed] == [
        (job, "dead", "there is nothing to do", 1)
    ]
    assert counted["jobs"] == [{"kind": "tests.give_up", "state": "dead", "jobs": 1}]
    assert [(e["outcome"], e["jobs"]) for e in counted["ended"]] == [("dead", 1)]
    assert (replayed.status_code, replayed.json()["state"], replayed.json()["attempts"]) == (202, "ready", 0)
    assert (again.status_code, again.json()["code"]) == (409, "job_not_resting")
    assert (gone.status_code, gone.json()["code"]) == (404, "job_not_found")
    assert [(r["subject"], r["changes"]["reason"]) for r in trail] == [(job, "mended")]


async def test_another_tenants_job_is_not_found(stage, db, database_url):
    job = await given_up(stage)
    other = await set_stage(db, database_url, name="Other")
    async with running(database_url) as (_, http):
        caller = await caller_of(other, http)
        assert (await caller.get(f"/v1/jobs/{job}")).json()["code"] == "job_not_found"
        assert (await caller.post(f"/v1/jobs/{job}/replays")).json()["code"] == "job_not_found"
        assert (await caller.post("/v1/job-replays", {"kind": "tests.give_up"})).json() == {"jobs": 0}
        assert await caller.data("/v1/jobs") == []

    assert await stage.value("select state from job") == "dead"


async def test_of_dead_jobs_with_one_key_one_is_replayed_and_none_beside_an_open_one(stage):
    await given_up(stage)
    await given_up(stage)
    async with stage.db.tenant(stage.tenant_id) as tx:
        again = {"tenant_id": stage.tenant_id, "kind": "tests.give_up", "actor": "operator", "reason": "all"}
        assert await jobs.replay_dead(tx, **again) == 1
        assert await jobs.replay_dead(tx, **again) == 0

    assert sorted(r["state"] for r in await stage.rows("select state from job")) == ["dead", "ready"]


async def test_an_unknown_job_is_settled_by_what_was_learnt(stage):
    async def lose_the_answer(_: jobs.Work) -> None:
        raise jobs.Ambiguous("the answer was lost")

    async with stage.db.tenant(stage.tenant_id) as tx:
        job_id = await jobs.enqueue(tx, tenant_id=stage.tenant_id, kind="tests.send", key="one")
    await drain(stage, [jobs.Kind("tests.send", lose_the_answer)])

    async with stage.db.tenant(stage.tenant_id) as tx:
        assert await jobs.settle(tx, tenant_id=stage.tenant_id, job_id=job_id)
        assert not await jobs.settle(tx, tenant_id=stage.tenant_id, job_id=job_id)
    assert await stage.rows("select id from job") == []


async def test_a_saga_is_compensated_in_the_transaction_that_gives_its_step_up(stage):
    async def compensate(tx, job: jobs.Job) -> None:
        await jobs.enqueue(tx, tenant_id=job.tenant_id, kind="tests.undo", key=job.key)

    async def refuse(_: jobs.Work) -> None:
        raise jobs.GivenUp("refused")

    async with stage.db.tenant(stage.tenant_id) as tx:
        await jobs.enqueue(tx, tenant_id=stage.tenant_id, kind="tests.do", key="one")

    await drain(stage, [jobs.Kind("tests.do", refuse, on_dead=compensate)])

    assert {(r["kind"], r["state"]) for r in await stage.rows("select kind, state from job")} == {
        ("tests.do", "dead"),
        ("tests.undo", "ready"),
    }


async def test_a_job_names_the_request_that_caused_it(stage, database_url):
    with structlog.contextvars.bound_contextvars(correlation_id="req-1"):
        async with stage.db.tenant(stage.tenant_id) as tx:
            await jobs.enqueue(tx, tenant_id=stage.tenant_id, kind="tests.note", key="one")
    told: list = []

    async def note(_: jobs.Work) -> None:
        told.append(structlog.contextvars.get_contextvars()["correlation_id"])

    await drain(stage, [jobs.Kind("tests.note", note)])

    assert told == ["req-1"]
