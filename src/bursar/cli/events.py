"""`bursar events`: what gateways reported, what became of it, and once more."""

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from bursar.cli.acting import ACTOR, TenantText, act, tenant_of
from bursar.cli.options import After, Data, Json, Limit, answer
from bursar.kernel import audit
from bursar.kernel.db import Database, Transaction
from bursar.kernel.errors import Invalid
from bursar.kernel.listing import Slice, after_cursor, cursor
from bursar.kernel.settings import Settings
from bursar.money.intake import queries, replay_events, replay_matching

app = typer.Typer(no_args_is_help=True, help="List gateway events, show one, replay one or many.")

STATUSES = ("received", "applied", "ignored", "failed", "dead")

Status = Annotated[str | None, typer.Option("--status", help=f"One of {', '.join(STATUSES)}.")]
Kind = Annotated[str | None, typer.Option("--type", help="The gateway's type, such as invoice.paid.")]
Since = Annotated[str | None, typer.Option("--since", help="Received at or after: ISO 8601, UTC without a zone.")]
Until = Annotated[str | None, typer.Option("--until", help="Received before: ISO 8601, UTC without a zone.")]
Event = Annotated[str, typer.Argument(help="Our id of it (evt_…) or the gateway's own.")]


class EventStatusUnknown(Invalid):
    """There is no such status of events."""

    code = "event_status_unknown"


class InstantInvalid(Invalid):
    """The text is not an instant in ISO 8601."""

    code = "instant_invalid"


class ReplayUnbounded(Invalid):
    """A replay names events, or says that it means all of them."""

    code = "replay_unbounded"


@app.command("list")
def list_events(
    tenant: TenantText,
    status: Status = None,
    type_: Kind = None,
    since: Since = None,
    data: Data = None,
    *,
    until: Until = None,
    limit: Limit = 50,
    after: After = None,
    as_json: Json = False,
) -> None:
    """List events, newest first."""
    given = _filter(status=status, type_=type_, since=since, until=until)
    page = Slice(limit, after_cursor(after) if after else None)

    async def listing(db: Database, _: Settings) -> dict[str, Any]:
        tenant_id = await tenant_of(db, tenant)
        async with db.tenant(tenant_id) as tx:
            found = await queries.events(tx, tenant_id=tenant_id, page=page, given=given)
        next_cursor = cursor(found.next_after) if found.next_after else None
        return {"data": [event.model_dump(mode="json") for event in found.rows], "next_cursor": next_cursor}

    listed = act(data, listing)
    lines = [_line(event) for event in listed["data"]]
    if listed["next_cursor"]:
        lines.append(f"more: --cursor {listed['next_cursor']}")
    answer(listed, "\n".join(lines) or "no events", as_json=as_json)


@app.command()
def show(event: Event, tenant: TenantText, data: Data = None, *, as_json: Json = False) -> None:
    """Show one event: its state, what was tried, what became of it, and its raw body."""

    async def showing(db: Database, _: Settings) -> dict[str, Any]:
        tenant_id = await tenant_of(db, tenant)
        async with db.tenant(tenant_id) as tx:
            event_id = await queries.event_id_of(tx, tenant_id=tenant_id, text=event)
            story = await queries.event_story(tx, tenant_id=tenant_id, event_id=event_id)
            body = await queries.event_body(tx, tenant_id=tenant_id, event_id=event_id)
        return story.model_dump(mode="json") | {"body": (body or b"").decode("utf-8", "replace")}

    told = act(data, showing)
    facts = [f"{name:<18}{told[name]}" for name in ("id", "gateway_event_id", "type", "status", "attempts", "error")]
    tried = [f"{failure['at']}  attempt {failure['attempt']}: {failure['error']}" for failure in told["failures"]]
    answer(told, "\n".join([*facts, *tried, "", told["body"]]), as_json=as_json)


@app.command()
def replay(
    tenant: TenantText,
    event: Annotated[
        list[str] | None, typer.Argument(help="Which (evt_… or the gateway's id); none: those that match.")
    ] = None,
    status: Status = None,
    type_: Kind = None,
    since: Since = None,
    *,
    until: Until = None,
    reason: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "replayed from the command line",
    everything: Annotated[bool, typer.Option("--all", help="Mean every event of the tenant.")] = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Apply events once more: those named, or all that match. What they told is merged again."""
    given = _filter(status=status, type_=type_, since=since, until=until)
    if not (event or given or everything):
        raise ReplayUnbounded("this would replay every event", hint="Name events, filter them, or pass --all.")

    async def replaying(db: Database, _: Settings) -> int:
        tenant_id = await tenant_of(db, tenant)
        async with db.tenant(tenant_id) as tx:
            count = await _replay(tx, tenant_id=tenant_id, names=event or [], given=given, reason=reason)
            changes = {
                "events": count,
                "reason": reason,
                "named": event or [],
                "filter": {k: str(v) for k, v in given.items()},
            }
            await audit.record(
                tx, tenant_id=tenant_id, actor=ACTOR, action="events.replayed", subject=None, changes=changes
            )
        return count

    count = act(data, replaying)
    answer({"events": count}, f"{count} events are queued again", as_json=as_json)


async def _replay(tx: Transaction, *, tenant_id: UUID, names: list[str], given: dict[str, Any], reason: str) -> int:
    if not names:
        return await replay_matching(tx, tenant_id=tenant_id, filter=given, actor=ACTOR, reason=reason)
    event_ids = [await queries.event_id_of(tx, tenant_id=tenant_id, text=name) for name in names]
    return await replay_events(tx, tenant_id=tenant_id, event_ids=event_ids, actor=ACTOR, reason=reason)


def _filter(*, status: str | None, type_: str | None, since: str | None, until: str | None) -> dict[str, Any]:
    if status is not None and status not in STATUSES:
        raise EventStatusUnknown(f"there is no status {status!r}", hint=f"Use one of {', '.join(STATUSES)}.")
    given = {"status": status, "type": type_, "since": instant(since), "until": instant(until)}
    return {name: value for name, value in given.items() if value is not None}


def instant(text: str | None) -> datetime | None:
    """Return the instant that a person typed, UTC where it has no zone. Raises InstantInvalid."""
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InstantInvalid(f"{text!r} is no instant", hint="Write it as 2026-01-31T12:00:00Z.") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _line(event: dict[str, Any]) -> str:
    error = f"  {event['error']}" if event["error"] else ""
    return f"{event['id']}  {event['received_at'][:19]}  {event['status']:<8}  {event['type']}{error}"
