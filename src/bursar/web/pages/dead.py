"""Dead letters: what was given up, why, and another try for one or for all of a kind."""

from string import hexdigits
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from bursar.kernel import ids
from bursar.kernel.auth import needs
from bursar.web.pages.events import EventNotFound, replay_one_or_more
from bursar.web.pages.paging import Before, before
from bursar.web.pages.reads.dead import REPLAYED_AT_ONCE, causes, dead_letters, events_of_cause
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.visits import Visiting, to

_KEY = "^([0-9a-f]{16})?$"

router = APIRouter(route_class=PageRoute)


@router.get("/dead")
@needs("events:read")
async def dead_list(
    visit: Visiting,
    cause: Annotated[str, Query(pattern=_KEY)] = "",
    before_id: Before = None,
    replayed: Annotated[int, Query(ge=0, le=REPLAYED_AT_ONCE)] = 0,
) -> Response:
    """Show the dead letters by what they died of."""
    async with visit.open() as page:
        tx, tenant_id = page.tx, visit.tenant_id
        found = await dead_letters(tx, tenant_id=tenant_id, cause=cause or None, below=before(ids.EVENT, before_id))
        return page.answer(
            "dead.html",
            causes=await causes(tx, tenant_id=tenant_id),
            letters=found.rows,
            after=found.after,
            cause=cause,
            replayed=replayed,
            at_once=REPLAYED_AT_ONCE,
        )


@router.post("/dead/replay")
@needs("events:replay")
async def replay_class(visit: Visiting) -> Response:
    """Queue every dead letter of a class again, oldest first, at most a thousand at once; or the one that is named."""
    fields = await visit.form()
    async with visit.open() as page:
        if "event" in fields:
            event_ids = [ids.parse(ids.EVENT, fields["event"])]
        else:
            cause = "".join(c for c in fields.get("cause", "") if c in hexdigits)
            event_ids = await events_of_cause(page.tx, tenant_id=visit.tenant_id, cause=cause)
        if not event_ids:
            raise EventNotFound("Nothing rests of this cause any more.", hint="Somebody may have replayed it already.")
        count = await replay_one_or_more(visit, page.tx, event_ids, reason=fields.get("reason", ""))
    return to(f"/dead?replayed={min(count, REPLAYED_AT_ONCE)}")
