"""The gateway's own page for a customer: asked for with a button, led to by a link that is told for minutes."""

from datetime import timedelta
from typing import Final

from fastapi import APIRouter
from starlette.responses import Response

from bursar.kernel import ids
from bursar.kernel.auth import needs
from bursar.money import calls
from bursar.money.portal import open_session, portal_session
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.visits import Visiting, to

_WAITED: Final = timedelta(seconds=4)

router = APIRouter(route_class=PageRoute)


@router.post("/customers/{customer_ref}/portal")
@needs("subscriptions:write")
async def ask(visit: Visiting, customer_ref: str) -> Response:
    """Ask the gateway for a link, and wait a little for it."""
    await visit.form()
    customer_id = ids.parse(ids.CUSTOMER, customer_ref)
    base = visit.resources.settings.public_url or str(visit.request.base_url).rstrip("/")
    async with visit.open() as page:
        call_id = await open_session(
            page.tx,
            tenant_id=visit.tenant_id,
            customer_id=customer_id,
            return_url=f"{base}/customers/{ids.show(ids.CUSTOMER, customer_id)}",
            actor=visit.actor,
            now=visit.now,
        )
    at_most = min(_WAITED, timedelta(seconds=visit.resources.settings.outcome_wait_s))
    await calls.waited(visit.resources.db, tenant_id=visit.tenant_id, call_id=call_id, at_most=at_most)
    return to(f"/portal-sessions/{ids.show(ids.GATEWAY_CALL, call_id)}")


@router.get("/portal-sessions/{gateway_call}")
@needs("subscriptions:write")
async def link(visit: Visiting, gateway_call: str) -> Response:
    """Show the link, while it is told."""
    async with visit.open() as page:
        found = await portal_session(
            page.tx,
            tenant_id=visit.tenant_id,
            session_id=ids.parse(ids.GATEWAY_CALL, gateway_call),
            seal=visit.resources.seal,
            now=visit.now,
        )
        return page.answer("portal_session.html", session=found, customer=ids.show(ids.CUSTOMER, found.customer))
