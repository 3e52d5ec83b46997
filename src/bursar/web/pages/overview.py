"""The overview and the stream that keeps pages live."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from bursar.kernel.auth import signed_in
from bursar.money.trail.tried import alarming
from bursar.web.pages.marks import marks_of
from bursar.web.pages.menu import home_of
from bursar.web.pages.paging import NEWEST
from bursar.web.pages.reads import overview as figures
from bursar.web.pages.reads.disputes import due_disputes
from bursar.web.pages.reads.events import EventFilter, EventRow, events
from bursar.web.pages.reads.payments import in_time, payments
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.visits import Visiting, to

LOOKED_WITHIN = timedelta(minutes=5)
EVENTS_SHOWN = 12
PAYMENTS_SHOWN = 10

router = APIRouter(route_class=PageRoute)


@router.get("/")
@signed_in
async def overview(visit: Visiting) -> Response:
    """Show how things stand."""
    if not visit.may("payments:read"):
        return to(home_of(visit.principal.permissions))
    tenant_id, now = visit.tenant_id, visit.now
    async with visit.open() as page:
        tx = page.tx
        recall = visit.memory.recall
        unmatched = await recall(("unmatched", tenant_id), partial(figures.unmatched, tx, tenant_id=tenant_id))
        newest = await events(tx, tenant_id=tenant_id, wanted=EventFilter(), below=NEWEST, limit=EVENTS_SHOWN)
        latest = await payments(
            tx, tenant_id=tenant_id, status=None, customer_id=None, below=NEWEST, limit=PAYMENTS_SHOWN
        )
        sweep = await figures.sweep(tx, tenant_id=tenant_id)
        return page.answer(
            "overview.html",
            fragment="overview_live.html",
            takings=await recall(("takings", tenant_id), partial(figures.takings, tx, tenant_id=tenant_id, now=now)),
            arrivals=await recall(("arrivals", tenant_id), partial(figures.arrivals, tx, tenant_id=tenant_id, now=now)),
            waiting=await recall(("waiting", tenant_id), partial(figures.waiting, tx, tenant_id=tenant_id)),
            sweep=sweep,
            alarming=await recall(("alarming", tenant_id), partial(alarming, tx, tenant_id=tenant_id, now=now)),
            is_unwatched=_is_unwatched(sweep, newest.rows, now=now),
            unmatched=unmatched,
            disputes=await recall(("disputes", tenant_id), partial(due_disputes, tx, tenant_id=tenant_id, now=now)),
            is_overdue=unmatched.oldest_at is not None and now - unmatched.oldest_at > visit.grace,
            events=newest.rows,
            payments=in_time(latest.rows),
        )


def _is_unwatched(sweep: figures.Sweep, newest: Sequence[EventRow], *, now: datetime) -> bool:
    """Tell whether something came in and nobody has looked since. A business where nothing happens is looked at seldom."""
    if sweep.checked_at is None or not newest:
        return False
    return newest[0].received_at > sweep.checked_at and now - sweep.checked_at > LOOKED_WITHIN


@router.get("/live")
@signed_in
async def live(visit: Visiting) -> Response:
    """Stream a mark whenever this tenant's events change."""
    marks = marks_of(visit.request)
    if marks.is_full:
        return Response(status_code=503, headers={"retry-after": "30"})
    life_s = (visit.session.expires_at - visit.now).total_seconds()
    return StreamingResponse(
        marks.stream(visit.tenant_id, life_s=life_s),
        media_type="text/event-stream",
        headers={"x-accel-buffering": "no"},
    )
