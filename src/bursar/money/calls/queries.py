"""Calls as people and programs see them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.http import PublicId, View
from bursar.kernel.http.identifiers import AccountId, EventId
from bursar.kernel.listing import Listing, Part, Slice, part
from bursar.money.calls.asking import CallNotFound
from bursar.money.calls.models import CallState

GatewayCallId = Annotated[UUID, PublicId(ids.GATEWAY_CALL)]


class GatewayCall(View):
    """Something that was asked of a gateway, and what came of it."""

    id: GatewayCallId
    gateway_account: AccountId
    operation: str = Field(examples=["create_refund"])
    subject: str = Field(description="What it is about.", examples=["re_01kapj5m6rfq1v5wx6h0b1a2c3"])
    state: CallState = Field(
        description="asked: it is being made. unknown: it may have been done, and nobody can tell; look at the gateway."
    )
    attempts: int = Field(description="Times it was sent. The gateway does it once, whatever their number.")
    ref: str | None = Field(description="The gateway's id of what was made.", examples=["re_3QXg1o8vcGmoR32Z"])
    event: EventId | None = Field(description="The event that reports what the gateway answered.")
    error_kind: str | None = Field(description="What the last attempt met.", examples=["busy"])
    error_code: str | None = Field(examples=["charge_already_refunded"])
    error_message: str | None
    actor: str
    correlation_id: str | None
    created_at: datetime
    first_sent_at: datetime | None
    ended_at: datetime | None


_SELECT = """select c.id, c.gateway_account_id as gateway_account, c.operation, c.subject, c.state, c.attempts, c.ref,
  c.event_id as event, c.error_kind, c.error_code, c.error_message, c.actor, c.correlation_id, c.created_at, c.first_sent_at, c.ended_at
from gateway_call c"""

CALLS = Listing(
    select=_SELECT,
    tenant="c.tenant_id",
    key="c.id",
    filters={
        "state": "c.state = {}",
        "subject": "c.subject = {}",
        "operation": "c.operation = {}",
        "gateway_account": "c.gateway_account_id = {}",
        "since": "c.created_at >= {}",
        "until": "c.created_at < {}",
    },
    refers={"gateway_account": "gateway_account"},
    stamped_by="us",
)

_ONE = f"{_SELECT} where c.tenant_id = $1 and c.id = $2"


async def gateway_calls(
    tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]
) -> Part[GatewayCall]:
    """Return calls, newest first. given: values by filter of `CALLS`."""
    return await part(tx, CALLS, tenant_id=tenant_id, given=given, page=page, view=GatewayCall.of)


async def gateway_call(tx: Transaction, *, tenant_id: UUID, call_id: UUID) -> GatewayCall:
    """Return one call. Raises CallNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, call_id)
    if row is None:
        raise CallNotFound(f"there is no gateway call {ids.show(ids.GATEWAY_CALL, call_id)}")
    return GatewayCall.of(row)
