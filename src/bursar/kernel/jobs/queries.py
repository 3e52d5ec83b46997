"""Reads of jobs: what waits, runs and rests, and how many ended how."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import NotFound
from bursar.kernel.http.inputs import PublicId
from bursar.kernel.http.views import View
from bursar.kernel.listing import ASKED, Listing, Part, Slice, part

COUNTED_MAX: Final = 100_000
"""Jobs counted at most, so that the question stays cheap when the answer is bad."""

State = Literal["ready", "scheduled", "running", "held", "unknown", "dead"]
JobId = Annotated[UUID, PublicId(ids.JOB)]


class JobNotFound(NotFound):
    """No open or resting job of this tenant has this id. One that was done is gone."""

    code = "job_not_found"


class JobView(View):
    """A job that waits, runs or rests."""

    id: JobId
    kind: str = Field(examples=["gateways.execute_call"])
    key: str = Field(
        description="What it is about: one open job of a kind has it.", examples=["gwc_01kapj5m6rfq1v5wx6h0b1a2c3"]
    )
    state: State = Field(
        description="ready: due. scheduled: waits for run_at. running: a worker has it. held: waits for its lane. "
        "unknown: nobody knows whether it was done. dead: given up."
    )
    lane: str | None
    priority: int
    run_at: datetime = Field(description="When it is due; of a running one, when its lease ends.")
    attempts: int
    crashes: int = Field(description="Attempts of which nobody told the end: the worker died, or froze.")
    error: str | None = Field(description="Why the last attempt failed.")
    error_at: datetime | None
    created_at: datetime
    first_started_at: datetime | None
    rested_at: datetime | None
    correlation_id: str | None = Field(description="Of the request that caused it: under it the logs tell of both.")


class JobStory(JobView):
    """One job with what it is to do."""

    idempotency_key: UUID = Field(description="What it names itself by at the other side, in every attempt.")
    request_bytes: int
    request: str | None = Field(
        description="What is to be done, shortened to 4,000 characters; null where it is no text."
    )
    worker: str | None
    started_at: datetime | None


class OpenCount(View):
    kind: str
    state: State
    jobs: int = Field(description=f"Counted up to {COUNTED_MAX:,}.")


class EndedCount(View):
    """Attempts of a kind that ended so within seven days."""

    kind: str
    outcome: Literal["done", "retried", "postponed", "unknown", "dead", "lost"]
    jobs: int
    mean_ms: int
    longest_ms: int
    last_at: datetime
    last_error: str | None


class JobCounts(View):
    jobs: list[OpenCount]
    ended: list[EndedCount]


_COLUMNS = """j.id, j.kind, j.key, j.state, j.lane, j.priority, j.run_at, j.attempts, j.crashes, j.error, j.error_at, j.created_at,
  j.first_started_at, j.rested_at, j.correlation_id"""

JOBS = Listing(
    select=f"select {_COLUMNS} from job j",
    tenant="j.tenant_id",
    key="j.id",
    filters={
        **{
            f"state={state}": f"j.state = '{state}'"
            for state in ("ready", "scheduled", "running", "held", "unknown", "dead")
        },
        "kind": "j.kind = {}",
        "key": "j.key = {}",
    },
    stamped_by="us",
)

_STORY = f"""
select {_COLUMNS}, j.idempotency_key, length(j.request) as request_bytes, j.request, j.worker, j.started_at
from job j where j.tenant_id = $1 and j.id = $2
"""

_OPEN = f"""
select kind, state, count(*) as jobs from (
  select kind, state from job where tenant_id = $1 and state <> 'dead' limit {COUNTED_MAX}
) as o group by kind, state order by kind, state
"""

_DEAD = f"""
select kind, 'dead' as state, count(*) as jobs from (
  select kind from job where tenant_id = $1 and state = 'dead' limit {COUNTED_MAX}
) as d group by kind order by kind
"""

_ENDED = """
select kind, outcome, sum(jobs)::bigint as jobs, (sum(duration_ms) / sum(jobs))::bigint as mean_ms, max(longest_ms) as longest_ms,
  max(last_at) as last_at, (array_agg(last_error order by day desc) filter (where last_error is not null))[1] as last_error
from job_tally where tenant_id = $1 and day > (clock_timestamp() at time zone 'UTC')::date - 7
group by kind, outcome order by kind, outcome
"""

_REQUEST_SHOWN = 4000


async def jobs(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[JobView]:
    """Return jobs, newest first. given: any of `state`, `kind`, `key`."""
    wanted = dict(given)
    if state := wanted.pop("state", None):
        wanted[f"state={state}"] = ASKED
    return await part(tx, JOBS, tenant_id=tenant_id, given=wanted, page=page, view=JobView.of)


async def job_story(tx: Transaction, *, tenant_id: UUID, job_id: UUID) -> JobStory:
    """Return one job. Raises JobNotFound."""
    row = await tx.fetchrow(_STORY, tenant_id, job_id)
    if row is None:
        raise JobNotFound(
            f"there is no job {ids.show(ids.JOB, job_id)}",
            hint="A job that was done is gone, and only counted: see GET /v1/job-counts.",
        )
    return JobStory.of({**dict(row), "request": _shown(row["request"])})


async def counts(tx: Transaction, *, tenant_id: UUID) -> JobCounts:
    """Return how many jobs there are in each state, and how those of the last seven days ended."""
    held = [*await tx.fetch(_OPEN, tenant_id), *await tx.fetch(_DEAD, tenant_id)]
    ended = await tx.fetch(_ENDED, tenant_id)
    return JobCounts(jobs=[OpenCount.of(row) for row in held], ended=[EndedCount.of(row) for row in ended])


def _shown(request: bytes) -> str | None:
    try:
        return bytes(request).decode()[:_REQUEST_SHOWN]
    except UnicodeDecodeError:
        return None
