"""Routes of gateway events: what came, what became of it, and once more."""

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from bursar.kernel import audit, ids
from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.errors import Conflict, NotFound
from bursar.kernel.http import Input, Instant, Key, Lines, Page, PageFilters, page_of
from bursar.kernel.http.identifiers import AccountId
from bursar.money.intake import accounts, queries
from bursar.money.intake.replays import replay_events, replay_matching
from bursar.money.intake.schemas import EventStatus, GatewayEvent, GatewayEventStory, Replayed

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["gateway events"])

EventText = Annotated[Key, Path(description="Our id of it (`evt_…`) or the gateway's own.")]
_UNSAID = "no reason given"


class EventNotReplayable(Conflict):
    """The event cannot be read, so that applying it again would change nothing."""

    code = "gateway_event_not_replayable"


class BodyGone(NotFound):
    """The raw body is past its retention."""

    code = "gateway_event_body_gone"


class EventFilters(PageFilters):
    """`since` and `until` are of receipt."""

    status: EventStatus | None = None
    type: Key | None = None
    gateway_account: AccountId | None = None
    gateway_event_id: Key | None = None
    own: Annotated[bool, Field(description="Also Bursar's own: assignments, catalogue changes.")] = False
    since: Instant | None = None
    until: Instant | None = None


class Replay(Input):
    reason: Annotated[Lines, Field(max_length=500)] = _UNSAID


class ReplayFilter(Input):
    """Events that match all of it; `since` and `until` are of receipt."""

    status: EventStatus | None = None
    type: Key | None = None
    gateway_account: AccountId | None = None
    since: Instant | None = None
    until: Instant | None = None


class BulkReplay(Replay):
    filter: ReplayFilter


_BYTES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The bytes; `application/json` where they are that.",
        "content": {
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
            "application/json": {"schema": {}},
        },
    }
}


@router.get("/gateway-events")
@needs("events:read")
async def list_gateway_events(caller: CallerOf, filters: Annotated[EventFilters, Query()]) -> Page[GatewayEvent]:
    """List events, newest first."""
    async with caller.transaction() as tx:
        return page_of(await queries.events(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given))


@router.get("/gateway-events/{event}")
@needs("events:read")
async def get_gateway_event(caller: CallerOf, event: EventText) -> GatewayEventStory:
    """Return one event with what was tried and what became of it."""
    async with caller.transaction() as tx:
        event_id = await queries.event_id_of(tx, tenant_id=caller.tenant_id, text=event)
        return await queries.event_story(tx, tenant_id=caller.tenant_id, event_id=event_id)


@router.get("/gateway-events/{event}/body", response_class=Response, responses=_BYTES)
@needs("events:read")
async def get_gateway_event_body(caller: CallerOf, event: EventText) -> Response:
    """Return the raw bytes as they were signed, or what is left of them after a person whom they named was erased."""
    async with caller.transaction() as tx:
        event_id = await queries.event_id_of(tx, tenant_id=caller.tenant_id, text=event)
        body = await queries.event_body(tx, tenant_id=caller.tenant_id, event_id=event_id)
    if body is None:
        raise BodyGone("the body of this event is no longer kept")
    return Response(body, media_type="application/json" if _is_json(body) else "application/octet-stream")


@router.post("/gateway-events/{event}/replays", status_code=202)
@needs("events:replay")
async def replay_gateway_event(caller: CallerOf, event: EventText, replay: Replay | None = None) -> Replayed:
    """Apply an event once more. What it told is merged again, so that only what was wrong changes."""
    reason = replay.reason if replay else _UNSAID
    async with caller.transaction() as tx:
        event_id = await queries.event_id_of(tx, tenant_id=caller.tenant_id, text=event)
        count = await replay_events(
            tx, tenant_id=caller.tenant_id, event_ids=[event_id], actor=caller.actor, reason=reason
        )
        if not count:
            raise EventNotReplayable(
                "this event cannot be read, or its body is no longer kept",
                hint="See its body. Comparing with the gateway mends what is wrong: POST /v1/reconciliations.",
            )
        await audit.record(
            tx,
            tenant_id=caller.tenant_id,
            actor=caller.actor,
            action="events.replayed",
            subject=ids.show(ids.EVENT, event_id),
            changes={"events": count, "reason": reason},
        )
    return Replayed(events=count)


@router.post("/gateway-event-replays", status_code=202)
@needs("events:replay")
async def replay_gateway_events(caller: CallerOf, replay: BulkReplay) -> Replayed:
    """Apply every event that matches once more. They go behind live ones."""
    wanted = {name: value for name, value in replay.filter if value is not None}
    async with caller.transaction() as tx:
        if replay.filter.gateway_account:
            await accounts.account(tx, tenant_id=caller.tenant_id, account_id=replay.filter.gateway_account)
        count = await replay_matching(
            tx, tenant_id=caller.tenant_id, filter=wanted, actor=caller.actor, reason=replay.reason
        )
        shown = replay.filter.model_dump(mode="json", exclude_none=True)
        await audit.record(
            tx,
            tenant_id=caller.tenant_id,
            actor=caller.actor,
            action="events.replayed",
            subject=None,
            changes={"filter": shown, "events": count, "reason": replay.reason},
        )
    return Replayed(events=count)


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
