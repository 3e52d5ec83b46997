"""Jobs: how many wait and rest, what was given up and why, and another try for one or for all of a kind."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from fastapi import APIRouter, Query
from starlette.responses import Response

from bursar.bootstrap import kinds
from bursar.kernel import ids, jobs
from bursar.kernel.auth import needs
from bursar.kernel.jobs import queries
from bursar.kernel.listing import Slice
from bursar.web.pages.paging import ROWS, Before
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.texts import printable
from bursar.web.pages.visits import Visiting, to

STATES = get_args(queries.State)
_REASON_MAX = 500

router = APIRouter(route_class=PageRoute)


@dataclass(slots=True)
class KindRow:
    """How many jobs of a kind are in each state, and how those of the last seven days ended. is_known: to this release."""

    kind: str
    is_known: bool
    states: dict[str, int] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    mean_ms: int | None = None


@router.get("/jobs")
@needs("jobs:read")
async def job_list(
    visit: Visiting,
    state: Literal["", "ready", "scheduled", "running", "held", "unknown", "dead"] = "",
    kind: Annotated[str, Query(max_length=100)] = "",
    before_id: Before = None,
    replayed: Annotated[int, Query(ge=0, le=jobs.REPLAYED_AT_ONCE)] = 0,
) -> Response:
    """Show the jobs by kind and state, and those that are not done, newest first."""
    after = ids.parse(ids.JOB, before_id) if before_id else None
    kind = printable(kind)
    async with visit.open() as page:
        given = {"state": state or None, "kind": kind or None}
        found = await queries.jobs(page.tx, tenant_id=visit.tenant_id, page=Slice(ROWS, after), given=given)
        counted = await queries.counts(page.tx, tenant_id=visit.tenant_id)
        return page.answer(
            "jobs.html",
            kinds=_rows(counted),
            jobs=[(ids.show(ids.JOB, job.id), job) for job in found.rows],
            after=ids.show(ids.JOB, found.next_after) if found.next_after else None,
            is_newest=before_id is None,
            states=STATES,
            asked={"state": state, "kind": kind},
            replayed=replayed,
            at_once=jobs.REPLAYED_AT_ONCE,
        )


@router.get("/jobs/{job}")
@needs("jobs:read")
async def job_story(visit: Visiting, job: str, done: Literal["", "replayed"] = "") -> Response:
    """Show one job: what it is to do, what went wrong, and what to do about it."""
    job_id = ids.parse(ids.JOB, job)
    async with visit.open() as page:
        found = await queries.job_story(page.tx, tenant_id=visit.tenant_id, job_id=job_id)
        is_known = kinds().named(found.kind) is not None
        return page.answer("job.html", id=ids.show(ids.JOB, found.id), job=found, is_known=is_known, done=done)


@router.post("/jobs/replay")
@needs("jobs:write")
async def replay_kind(visit: Visiting) -> Response:
    """Have the dead jobs of a kind done again, oldest first, at most a thousand at once."""
    fields = await visit.form()
    async with visit.open() as page:
        count = await jobs.replay_dead(
            page.tx,
            tenant_id=visit.tenant_id,
            kind=printable(fields.get("kind", ""))[:100],
            actor=visit.actor,
            reason="replayed from the dashboard",
        )
    return to(f"/jobs?replayed={count}")


@router.post("/jobs/{job}/replay")
@needs("jobs:write")
async def replay(visit: Visiting, job: str) -> Response:
    """Have one job done again."""
    job_id = ids.parse(ids.JOB, job)
    fields = await visit.form()
    reason = printable(fields.get("reason", ""))[:_REASON_MAX] or "replayed from the dashboard"
    async with visit.open() as page:
        await queries.job_story(page.tx, tenant_id=visit.tenant_id, job_id=job_id)
        await jobs.replay(page.tx, tenant_id=visit.tenant_id, job_id=job_id, actor=visit.actor, reason=reason)
    return to(f"/jobs/{ids.show(ids.JOB, job_id)}?done=replayed")


def _rows(counted: queries.JobCounts) -> list[KindRow]:
    known, rows = kinds(), dict[str, KindRow]()
    for name in _names(counted):
        rows[name] = KindRow(name, known.named(name) is not None)
    for count in counted.jobs:
        rows[count.kind].states[count.state] = count.jobs
    for ended in counted.ended:
        rows[ended.kind].outcomes[ended.outcome] = ended.jobs
        if ended.outcome == "done":
            rows[ended.kind].mean_ms = ended.mean_ms
    return list(rows.values())


def _names(counted: queries.JobCounts) -> Iterable[str]:
    return sorted({count.kind for count in counted.jobs} | {count.kind for count in counted.ended})
