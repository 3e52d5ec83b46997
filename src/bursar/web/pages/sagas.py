"""Unfinished business: what has several steps at a gateway; what waits for a person first, with what to do."""

from fastapi import APIRouter
from starlette.responses import Response

from bursar.kernel import ids
from bursar.kernel.auth import needs
from bursar.kernel.errors import Invalid
from bursar.money import sagas
from bursar.money.sagas import FOR_HANDS
from bursar.money.sagas.telling import KIND_WORDS, WORDS
from bursar.web.pages.paging import Before
from bursar.web.pages.reads.sagas import saga_list, saga_story
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.texts import printable
from bursar.web.pages.visits import Visiting, to

_NOTE_MAX = 500

router = APIRouter(route_class=PageRoute)


class NoteMissing(Invalid):
    """Whoever settles something by hand says what was done."""

    code = "note_missing"


@router.get("/sagas")
@needs("refunds:read")
async def saga_pages(visit: Visiting, before_id: Before = None) -> Response:
    """Show what a person has to finish, then the rest, newest first."""
    after = ids.parse(ids.SAGA, before_id) if before_id else None
    async with visit.open() as page:
        found = await saga_list(page.tx, tenant_id=visit.tenant_id, after=after)
        return page.answer("sagas.html", found=found, is_newest=before_id is None, kinds=KIND_WORDS)


@router.get("/sagas/{saga}")
@needs("refunds:read")
async def saga_page(visit: Visiting, saga: str) -> Response:
    """Show one: its steps, their calls, and what to do."""
    saga_id = ids.parse(ids.SAGA, saga)
    async with visit.open() as page:
        row = await saga_story(page.tx, tenant_id=visit.tenant_id, saga_id=saga_id)
        is_for_hands = row.saga.state in FOR_HANDS
        return page.answer(
            "saga.html", row=row, is_for_hands=is_for_hands, kinds=KIND_WORDS, words=WORDS, note_max=_NOTE_MAX
        )


@router.post("/sagas/{saga}/settle")
@needs("refunds:write")
async def settle(visit: Visiting, saga: str) -> Response:
    """Write that somebody has done by hand what was left."""
    saga_id = ids.parse(ids.SAGA, saga)
    fields = await visit.form()
    note = printable(fields.get("note", ""))[:_NOTE_MAX]
    async with visit.open() as page:
        if not note:
            raise NoteMissing("Say what was done.", hint="Go back, and write it into the field.")
        await sagas.settle(page.tx, tenant_id=visit.tenant_id, saga_id=saga_id, note=note, actor=visit.actor)
    return to(f"/sagas/{ids.show(ids.SAGA, saga_id)}")
