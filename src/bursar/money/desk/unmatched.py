"""Unmatched money: paid, but naming nothing we sell. It waits for a report, a catalogue entry, or a person."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import Field

from bursar.kernel.db import Transaction
from bursar.kernel.http import View
from bursar.kernel.http.identifiers import AccountId, CustomerId, PaymentId
from bursar.kernel.listing import Listing, Part, Slice, part


class UnmatchedPayment(View):
    """A payment whose money names nothing we sell. `id` is the payment's."""

    id: PaymentId
    customer: CustomerId | None
    gateway_account: AccountId
    gateway_ref: str = Field(examples=["pi_3QXg1o8vcGmoR32Z"])
    amount_minor: int = Field(examples=[4500])
    currency: str = Field(examples=["EUR"])
    description: str | None
    reason: str = Field(examples=["no report so far names what was bought"])
    refs: list[str] = Field(description="What the reports named that the catalogue does not know.")
    is_alarming: bool = Field(description="It has waited longer than reports may take.")
    first_seen_at: datetime
    created_at: datetime


UNMATCHED = Listing(
    select="""select p.id, coalesce(p.customer_id, u.customer_id) as customer, p.gateway_account_id as gateway_account,
  p.gateway_ref, p.amount_minor, p.currency, p.description, u.unmatched_reason as reason, u.unmatched_refs as refs,
  u.first_seen_at, p.created_at
from purchase u join payment p on p.tenant_id = u.tenant_id and p.purchase_id = u.id""",
    tenant="u.tenant_id",
    key="p.id",
    always=(
        "u.is_paid",
        "u.unmatched_reason is not null",
        "u.merged_into is null",
        "p.status = 'succeeded'",
        "p.superseded_by is null",
    ),
    filters={
        "customer": "coalesce(p.customer_id, u.customer_id) = {}",
        "gateway_account": "u.gateway_account_id = {}",
        "seen_before": "u.first_seen_at < {}",
        "seen_since": "u.first_seen_at >= {}",
    },
    refers={"customer": "customer", "gateway_account": "gateway_account"},
)


async def unmatched_payments(
    tx: Transaction,
    *,
    tenant_id: UUID,
    page: Slice,
    now: datetime,
    grace: timedelta,
    customer_id: UUID | None = None,
    account_id: UUID | None = None,
    is_alarming: bool | None = None,
) -> Part[UnmatchedPayment]:
    """Return unmatched payments, newest first. grace: how long the missing report may take."""
    due = now - grace
    given = {
        "customer": customer_id,
        "gateway_account": account_id,
        "seen_before": due if is_alarming else None,
        "seen_since": due if is_alarming is False else None,
    }

    def view(row: Any) -> UnmatchedPayment:
        return UnmatchedPayment.model_validate(dict(row) | {"is_alarming": row["first_seen_at"] < due})

    return await part(tx, UNMATCHED, tenant_id=tenant_id, given=given, page=page, view=view)
