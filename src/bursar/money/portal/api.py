"""Routes of portal sessions."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response
from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.auth import Caller, CallerOf, TenantRoute, needs
from bursar.kernel.errors import Conflict, GatewayRefused
from bursar.kernel.http import Input, Url
from bursar.kernel.http.identifiers import CustomerId
from bursar.money.calls.following import check_not_refused, outcome_of
from bursar.money.portal import opening, queries
from bursar.money.portal.queries import PortalSession, PortalSessionId

OPENING = "subscriptions:write"
"""Who may have links: whoever follows one can change and end the customer's subscriptions."""

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["portal sessions"])


class PortalSessionRefused(GatewayRefused):
    """The gateway will not make this link."""

    code = "portal_session_refused"
    status = 422


class PortalSessionExpired(Conflict):
    """The link of this Idempotency-Key is not told any more."""

    code = "portal_session_expired"


class NewPortalSession(Input):
    customer: CustomerId
    return_url: Url | None = Field(default=None, description="Where the customer comes back to.")


async def _opened(caller: Caller, name: str) -> PortalSession | None:
    """Wait for the gateway's answer. Raises PortalSessionRefused, PortalSessionExpired."""
    session_id = ids.parse(ids.GATEWAY_CALL, name)
    await outcome_of(caller, session_id)
    found = await _one(caller, session_id)
    check_not_refused(
        found,
        PortalSessionRefused,
        hint="Does its portal need to be set up in the gateway's dashboard?",
    )
    if found.status == "expired":
        raise PortalSessionExpired(
            "the link of this Idempotency-Key is not told any more", hint="Ask for a new one under a new key."
        )
    return found if found.status == "open" else None


@router.post("/portal-sessions", status_code=202, responses={201: {"model": PortalSession}})
@needs(OPENING, outcome=_opened, is_secret=True)
async def open_portal_session(caller: CallerOf, new: NewPortalSession, response: Response) -> PortalSession:
    """Make a link to the gateway's own page for a customer: ways to pay, invoices, subscriptions.

    201: `url` leads there. Whoever has it is the customer there: send it to nobody else, and keep it nowhere.
    202: the gateway has not answered yet; read the session, or repeat with the same key.
    """
    async with caller.transaction() as tx:
        session_id = await opening.open_session(
            tx,
            tenant_id=caller.tenant_id,
            customer_id=new.customer,
            return_url=new.return_url,
            actor=caller.actor,
            now=caller.now(),
        )
        response.headers["location"] = f"/v1/portal-sessions/{ids.show(ids.GATEWAY_CALL, session_id)}"
        return await queries.portal_session(
            tx, tenant_id=caller.tenant_id, session_id=session_id, seal=caller.resources.seal, now=caller.now()
        )


@router.get("/portal-sessions/{portal_session}")
@needs(OPENING)
async def get_portal_session(caller: CallerOf, portal_session: Annotated[PortalSessionId, Path()]) -> PortalSession:
    """Return one session, with its link for five minutes."""
    return await _one(caller, portal_session)


async def _one(caller: Caller, session_id: UUID) -> PortalSession:
    async with caller.transaction() as tx:
        return await queries.portal_session(
            tx, tenant_id=caller.tenant_id, session_id=session_id, seal=caller.resources.seal, now=caller.now()
        )
