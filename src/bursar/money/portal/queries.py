"""Portal sessions as people and programs see them: a call, and its link while it is told."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import NotFound
from bursar.kernel.http import PublicId, View
from bursar.kernel.http.identifiers import AccountId, CustomerId
from bursar.kernel.seal import Seal
from bursar.money import calls
from bursar.money.portal.opening import LINK_LIFE

PortalSessionId = Annotated[UUID, PublicId(ids.GATEWAY_CALL)]
PortalSessionStatus = Literal["pending", "open", "expired", "refused", "unknown"]


class PortalSessionNotFound(NotFound):
    """No portal session of this tenant has this id."""

    code = "portal_session_not_found"


class PortalSession(View):
    """A link to the gateway's own page for a customer."""

    id: PortalSessionId
    gateway_account: AccountId
    customer: CustomerId
    status: PortalSessionStatus = Field(description="pending: the gateway has not answered yet.")
    url: str | None = Field(
        description="Where to send the customer, at once: whoever has it is the customer there. Told for five minutes."
    )
    expires_at: datetime | None = Field(description="Until when the link is told.")
    failure_code: str | None
    failure: str | None = Field(description="Why the gateway refused it.")
    created_at: datetime


_ONE = """
select id, gateway_account_id as gateway_account, subject, state, url as sealed_url, ended_at, error_code, error_message, created_at
from gateway_call where tenant_id = $1 and id = $2 and operation = 'create_portal_session'
"""


async def portal_session(
    tx: Transaction, *, tenant_id: UUID, session_id: UUID, seal: Seal, now: datetime
) -> PortalSession:
    """Return one session, with its link while it is told. Raises PortalSessionNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, session_id)
    shown = ids.show(ids.GATEWAY_CALL, session_id)
    if row is None:
        raise PortalSessionNotFound(f"there is no portal session {shown}")
    is_made, is_refused = row["state"] == "succeeded", row["state"] == "refused"
    expires_at = row["ended_at"] + LINK_LIFE if is_made else None
    is_told = expires_at is not None and now < expires_at and row["sealed_url"] is not None
    status: PortalSessionStatus = "pending"
    if is_made:
        status = "open" if is_told else "expired"
    elif row["state"] != "asked":
        status = row["state"]
    return PortalSession(
        id=row["id"],
        gateway_account=row["gateway_account"],
        customer=ids.parse(ids.CUSTOMER, row["subject"]),
        status=status,
        url=calls.open_link(seal, row["sealed_url"], call_id=session_id) if is_told else None,
        expires_at=expires_at,
        failure_code=row["error_code"] if is_refused else None,
        failure=row["error_message"] if is_refused else None,
        created_at=row["created_at"],
    )
