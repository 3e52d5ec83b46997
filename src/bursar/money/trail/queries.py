"""Reads of the audit trail."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from bursar.kernel.db import Transaction
from bursar.kernel.errors import NotFound
from bursar.kernel.http.identifiers import AuditId, EventId
from bursar.kernel.http.views import FromJson, View
from bursar.kernel.listing import ASKED, Listing, Part, Slice, part


class AuditRecordNotFound(NotFound):
    """No audit record of this tenant has this id."""

    code = "audit_record_not_found"


class AuditRecord(View):
    """Who did what. `changes` holds plain values, never a secret.

    Where it holds `note`, words of somebody were forgotten with the person they told of: it is the hash of them.
    """

    id: AuditId
    at: datetime
    actor: str = Field(examples=["gateway"], description="`gateway`, `operator`, `key:key_…` or `policy:…`.")
    action: str = Field(examples=["event.applied"])
    event: EventId | None = Field(description="The event that caused it.")
    subject: str | None = Field(examples=["pay_01kapj5m6rfq1v5wx6h0b1a2c3"], description="What changed most.")
    changes: Annotated[dict[str, Any], FromJson]
    address: str | None = Field(description="From where it was asked for; absent where no request asked.")
    user_agent: str | None = Field(description="With which program, shortened.")
    correlation_id: str | None = Field(description="Under which the logs tell of the request.")


_GATEWAY = "gateway"

_SELECT = """select r.id, r.at, r.actor, r.action, r.event_id as event, r.subject,
  (case when n.told is null then r.changes else r.changes - 'note' || n.told end)::text as changes,
  r.address, r.user_agent, r.correlation_id
from audit_record r left join audit_note n on n.tenant_id = r.tenant_id and n.record_id = r.id"""

RECORDS = Listing(
    select=_SELECT,
    tenant="r.tenant_id",
    key="r.id",
    filters={
        "actor": "r.actor = {}",
        "action": "r.action = {}",
        # What people did is rare among what gateways reported, and has an index of its own.
        "by_people": "r.actor <> 'gateway'",
        "event": "r.event_id = {}",
        "subject": "r.subject = {}",
        # The events that moved this customer's money, grants or credits.
        "customer": """r.event_id in (
    select t.event_id from ledger_transaction t where t.tenant_id = $1 and t.customer_id = {}
    union select g.event_id from fulfilment_grant g where g.tenant_id = $1 and g.customer_id = {}
    union select m.event_id from credit_movement m where m.tenant_id = $1 and m.customer_id = {})""",
        "since": "r.at >= {}",
        "until": "r.at < {}",
    },
    refers={"customer": "customer", "event": "gateway_event"},
    stamped_by="us",
)

_ONE = f"{_SELECT} where r.tenant_id = $1 and r.id = $2"


async def audit_records(tx: Transaction, *, tenant_id: UUID, page: Slice, given: dict[str, Any]) -> Part[AuditRecord]:
    """Return records, newest first. given: values by filter of `RECORDS`.

    By subject are found the acts of people, keys and policies; what gateways reported is found by event or customer.
    """
    of_gateways = given.get("actor") == _GATEWAY or str(given.get("action", "")).startswith("event.")
    is_of_people = "subject" in given or (("actor" in given or "action" in given) and not of_gateways)
    wanted = given | {"by_people": ASKED} if is_of_people else given
    return await part(tx, RECORDS, tenant_id=tenant_id, given=wanted, page=page, view=AuditRecord.of)


async def audit_record(tx: Transaction, *, tenant_id: UUID, record_id: UUID) -> AuditRecord:
    """Return one record. Raises AuditRecordNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, record_id)
    if row is None:
        raise AuditRecordNotFound("there is no audit record of this id")
    return AuditRecord.of(row)
