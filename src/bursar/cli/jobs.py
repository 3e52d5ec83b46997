"""`bursar jobs`: what waits, runs and rests, and once more what was given up."""

from typing import Annotated, Any, get_args

import typer

from bursar.bootstrap import kinds
from bursar.cli.acting import ACTOR, Whose, act, whose
from bursar.cli.options import After, Data, Json, Limit, answer
from bursar.kernel import ids, jobs
from bursar.kernel.db import Database
from bursar.kernel.errors import Invalid
from bursar.kernel.jobs import queries
from bursar.kernel.listing import Slice, after_cursor, cursor
from bursar.kernel.settings import Settings

app = typer.Typer(no_args_is_help=True, help="List and count jobs, show one, replay what was given up.")

STATES = get_args(queries.State)

State = Annotated[str | None, typer.Option("--state", help=f"One of {', '.join(STATES)}.")]
Kind = Annotated[str | None, typer.Option("--kind", help="A kind of job, such as gateways.execute_call.")]
JobText = Annotated[str, typer.Argument(help="Its id: job_…")]


class JobStateUnknown(Invalid):
    """There is no such state of jobs."""

    code = "job_state_unknown"


class ReplayOfNothing(Invalid):
    """A replay names one job, or the kind whose dead ones are meant."""

    code = "job_replay_of_nothing"


@app.command("list")
def list_jobs(
    tenant: Whose = None,
    state: State = None,
    kind: Kind = None,
    data: Data = None,
    *,
    limit: Limit = 50,
    after: After = None,
    as_json: Json = False,
) -> None:
    """List jobs that are not done, newest first."""
    if state is not None and state not in STATES:
        raise JobStateUnknown(f"there is no state {state!r}", hint=f"Use one of {', '.join(STATES)}.")
    page = Slice(limit, after_cursor(after) if after else None)

    async def listing(db: Database, _: Settings) -> dict[str, Any]:
        tenant_id = await whose(db, tenant)
        async with db.tenant(tenant_id) as tx:
            found = await queries.jobs(tx, tenant_id=tenant_id, page=page, given={"state": state, "kind": kind})
        next_cursor = cursor(found.next_after) if found.next_after else None
        return {"data": [job.model_dump(mode="json") for job in found.rows], "next_cursor": next_cursor}

    listed = act(data, listing)
    lines = [_line(job) for job in listed["data"]]
    if listed["next_cursor"]:
        lines.append(f"more: --cursor {listed['next_cursor']}")
    answer(listed, "\n".join(lines) or "no jobs wait, run or rest", as_json=as_json)


@app.command()
def show(job: JobText, tenant: Whose = None, data: Data = None, *, as_json: Json = False) -> None:
    """Show one job: its state, what it is to do, and why its last attempt failed."""
    job_id = ids.parse(ids.JOB, job)

    async def showing(db: Database, _: Settings) -> dict[str, Any]:
        tenant_id = await whose(db, tenant)
        async with db.tenant(tenant_id) as tx:
            return (await queries.job_story(tx, tenant_id=tenant_id, job_id=job_id)).model_dump(mode="json")

    told = act(data, showing)
    answer(told, "\n".join(f"{name:<18}{value}" for name, value in told.items() if value is not None), as_json=as_json)


@app.command()
def counts(tenant: Whose = None, data: Data = None, *, as_json: Json = False) -> None:
    """Count jobs by kind and state, and what became of those of the last seven days."""

    async def counting(db: Database, _: Settings) -> dict[str, Any]:
        tenant_id = await whose(db, tenant)
        async with db.tenant(tenant_id) as tx:
            return (await queries.counts(tx, tenant_id=tenant_id)).model_dump(mode="json")

    told = act(data, counting)
    known = kinds()
    for count in told["jobs"]:
        count["is_known"] = known.named(count["kind"]) is not None
    lines = [
        f"{c['kind']:<40}{c['state']:<12}{c['jobs']}{'' if c['is_known'] else '  (no worker of this release knows it)'}"
        for c in told["jobs"]
    ]
    ended = [f"{c['kind']:<40}{c['outcome']:<12}{c['jobs']}  {c['mean_ms']} ms" for c in told["ended"]]
    text = "\n".join([*lines, "", "within seven days:", *ended]) if ended else "\n".join(lines)
    answer(told, text or "no jobs", as_json=as_json)


@app.command()
def replay(
    job: Annotated[str | None, typer.Argument(help="Its id: job_…; none: the dead ones of --kind.")] = None,
    tenant: Whose = None,
    kind: Kind = None,
    *,
    reason: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "replayed from the command line",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Have a dead or unknown job done again, or the dead ones of a kind (a thousand at once)."""
    if (job is None) == (kind is None):
        raise ReplayOfNothing("name either a job or a kind", hint="bursar jobs replay job_… or --kind KIND")

    async def replaying(db: Database, _: Settings) -> int:
        tenant_id = await whose(db, tenant)
        async with db.tenant(tenant_id) as tx:
            if kind is not None:
                return await jobs.replay_dead(tx, tenant_id=tenant_id, kind=kind, actor=ACTOR, reason=reason)
            job_id = ids.parse(ids.JOB, job or "")
            await queries.job_story(tx, tenant_id=tenant_id, job_id=job_id)
            await jobs.replay(tx, tenant_id=tenant_id, job_id=job_id, actor=ACTOR, reason=reason)
        return 1

    count = act(data, replaying)
    answer({"jobs": count}, f"{count} jobs are queued again", as_json=as_json)


def _line(job: dict[str, Any]) -> str:
    error = f"  {job['error']}" if job["error"] else ""
    return f"{job['id']}  {job['created_at'][:19]}  {job['state']:<9}  {job['kind']} {job['key']}{error}"
