"""Routes of jobs: what waits and rests, and once more."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field

from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Input, Key, Lines, Page, PageFilters, View, page_of
from bursar.kernel.jobs import queries, resting
from bursar.kernel.jobs.queries import JobCounts, JobId, JobStory, JobView, State

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["jobs"])

_UNSAID = "no reason given"


class JobFilters(PageFilters):
    state: State | None = None
    kind: Key | None = None
    key: Key | None = None


class JobReplay(Input):
    reason: Annotated[Lines, Field(max_length=500)] = _UNSAID


class JobsReplay(JobReplay):
    kind: Annotated[str, Field(max_length=100, pattern=r"^[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*$")]


class JobsReplayed(View):
    jobs: int = Field(description=f"How many are queued again: at most {resting.REPLAYED_AT_ONCE:,} at once.")


@router.get("/jobs")
@needs("jobs:read")
async def list_jobs(caller: CallerOf, filters: Annotated[JobFilters, Query()]) -> Page[JobView]:
    """List jobs that wait, run or rest, newest first. Those that were done are gone."""
    async with caller.transaction() as tx:
        return page_of(await queries.jobs(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given))


@router.get("/job-counts")
@needs("jobs:read")
async def get_job_counts(caller: CallerOf) -> JobCounts:
    """Count jobs by kind and state, and what became of those of the last seven days."""
    async with caller.transaction() as tx:
        return await queries.counts(tx, tenant_id=caller.tenant_id)


@router.get("/jobs/{job}")
@needs("jobs:read")
async def get_job(caller: CallerOf, job: JobId) -> JobStory:
    """Return one job with what it is to do, and why its last attempt failed."""
    async with caller.transaction() as tx:
        return await queries.job_story(tx, tenant_id=caller.tenant_id, job_id=job)


@router.post("/jobs/{job}/replays", status_code=202)
@needs("jobs:write")
async def replay_job(caller: CallerOf, job: JobId, replay: JobReplay | None = None) -> JobStory:
    """Have a dead or unknown job done again, with the key and the request that it always had."""
    async with caller.transaction() as tx:
        await queries.job_story(tx, tenant_id=caller.tenant_id, job_id=job)
        reason = replay.reason if replay else _UNSAID
        await resting.replay(tx, tenant_id=caller.tenant_id, job_id=job, actor=caller.actor, reason=reason)
        return await queries.job_story(tx, tenant_id=caller.tenant_id, job_id=job)


@router.post("/job-replays", status_code=202)
@needs("jobs:write")
async def replay_jobs(caller: CallerOf, replay: JobsReplay) -> JobsReplayed:
    """Have the dead jobs of a kind done again, the oldest first."""
    async with caller.transaction() as tx:
        count = await resting.replay_dead(
            tx, tenant_id=caller.tenant_id, kind=replay.kind, actor=caller.actor, reason=replay.reason
        )
    return JobsReplayed(jobs=count)
