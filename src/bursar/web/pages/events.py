"""Events: the live list, one event's story, its body, and its replay."""

from datetime import timedelta
from typing import Annotated, Any, Literal, get_args

from fastapi import APIRouter, Query
from starlette.responses import Response

from bursar.kernel import ids
from bursar.kernel.auth import needs
from bursar.kernel.errors import NotFound
from bursar.money.intake import replay_events
from bursar.web.pages.paging import Before, before
from bursar.web.pages.reads.events import STATUSES, EventFilter, event_types, events
from bursar.web.pages.reads.story import story, whole_body
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.texts import printable
from bursar.web.pages.visits import Visiting, to

REASON_MAX = 500

Since = Literal["", "5m", "1h", "24h", "7d", "30d"]
_SINCE = {
    "5m": timedelta(minutes=5),
    "1h": timedelta(hours=1),
    "24h": timedelta(hours=24),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}
_SINCE_WORDS = {"": "ever", "5m": "5 minutes", "1h": "hour", "24h": "24 hours", "7d": "7 days", "30d": "30 days"}

router = APIRouter(route_class=PageRoute)


class EventNotFound(NotFound):
    """No event of this tenant has this id, or none that could be replayed."""

    code = "event_not_found"


@router.get("/events")
@needs("events:read")
async def event_list(
    visit: Visiting,
    status: Literal["", "received", "applied", "ignored", "failed", "dead"] = "",
    type: Annotated[str, Query(max_length=255)] = "",  # noqa: A002 - the address's word
    since: Since = "",
    before_id: Before = None,
) -> Response:
    """Show the events that came in, newest first."""
    wanted = EventFilter(
        status=status or None,
        type=printable(type) or None,
        since=visit.now - _SINCE[since] if since else None,
    )
    async with visit.open() as page:
        found = await events(page.tx, tenant_id=visit.tenant_id, wanted=wanted, below=before(ids.EVENT, before_id))
        kinds = () if visit.is_fragment else await event_types(page.tx, tenant_id=visit.tenant_id)
        return page.answer(
            "events.html",
            fragment="events_rows.html",
            events=found.rows,
            after=found.after,
            kinds=kinds,
            statuses=STATUSES,
            status=status,
            type=type,
            since=since,
            since_words={word: _SINCE_WORDS[word] for word in get_args(Since)},
            is_newest=before_id is None,
        )


@router.get("/events/{event}")
@needs("events:read")
async def event_story(visit: Visiting, event: str, done: Literal["", "replayed"] = "") -> Response:
    """Show one event's story."""
    event_id = ids.parse(ids.EVENT, event)
    async with visit.open() as page:
        found = await story(page.tx, tenant_id=visit.tenant_id, event_id=event_id)
        if found is None:
            raise _unknown()
        return page.answer("event.html", fragment="event_live.html", event=found, done=done)


@router.get("/events/{event}/body")
@needs("events:read")
async def event_body(visit: Visiting, event: str) -> Response:
    """Give the bytes as they were received, to be saved and never to be shown."""
    event_id = ids.parse(ids.EVENT, event)
    async with visit.open() as page:
        body = await whole_body(page.tx, tenant_id=visit.tenant_id, event_id=event_id)
    if body is None:
        raise _unknown()
    return Response(
        body,
        media_type="application/octet-stream",
        headers={
            "content-disposition": f'attachment; filename="{ids.show(ids.EVENT, event_id)}.txt"',
            "content-security-policy": "default-src 'none'; sandbox",
        },
    )


@router.post("/events/{event}/replay")
@needs("events:replay")
async def replay(visit: Visiting, event: str) -> Response:
    """Queue one event again."""
    event_id = ids.parse(ids.EVENT, event)
    fields = await visit.form()
    async with visit.open() as page:
        await replay_one_or_more(visit, page.tx, [event_id], reason=fields.get("reason", ""))
    return to(f"/events/{ids.show(ids.EVENT, event_id)}?done=replayed")


async def replay_one_or_more(visit: Visiting, tx: Any, event_ids: list[Any], *, reason: str) -> int:
    """Queue events again in the visitor's name. Raises EventNotFound when none of them is this tenant's, or readable."""
    count = await replay_events(
        tx,
        tenant_id=visit.tenant_id,
        event_ids=event_ids,
        actor=visit.actor,
        reason=printable(reason)[:REASON_MAX] or "replayed from the dashboard",
    )
    if not count:
        raise EventNotFound("none of these events can be replayed", hint="Unreadable bodies stay where they are.")
    return count


def _unknown() -> EventNotFound:
    return EventNotFound("There is no event of this id here.", hint="Check the id, or search for it.")
