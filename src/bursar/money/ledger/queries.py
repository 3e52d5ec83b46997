"""Reads of the books."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

from bursar.kernel.db import Transaction
from bursar.kernel.http.identifiers import AccountId, CustomerId, EventId, TransactionId
from bursar.kernel.http.views import FromJson, View
from bursar.kernel.listing import Listing, Part, Slice, part


class LedgerEntry(BaseModel):
    """One side of a posting. Debits are above zero, credits below; those of a transaction sum to zero per currency."""

    account: str = Field(examples=["gateway:stripe"])
    currency: str = Field(examples=["EUR"])
    amount_minor: int = Field(examples=[4500])


class LedgerTransaction(View):
    """A posting. `sequence` 0 is the first of its source; later ones correct it, nothing is edited."""

    id: TransactionId
    gateway_account: AccountId
    customer: CustomerId | None
    source_kind: str = Field(examples=["payment"], description="`payment`, `refund` or `dispute`.")
    source_ref: str = Field(examples=["pi_3QXg1o8vcGmoR32Z"], description="The gateway's id of it.")
    sequence: int
    entries: Annotated[list[LedgerEntry], FromJson]
    event: EventId
    occurred_at: datetime
    created_at: datetime


TRANSACTIONS = Listing(
    select="""select t.id, t.gateway_account_id as gateway_account, t.customer_id as customer, t.source_kind, t.source_ref,
  t.sequence, t.event_id as event, t.occurred_at, t.created_at,
  (select jsonb_agg(jsonb_build_object('account', e.account, 'currency', e.currency, 'amount_minor', e.amount_minor)
     order by e.amount_minor desc, e.account)
   from ledger_entry e where e.tenant_id = t.tenant_id and e.transaction_id = t.id)::text as entries
from ledger_transaction t""",
    tenant="t.tenant_id",
    key="t.id",
    filters={
        "customer": "t.customer_id = {}",
        "source_kind": "t.source_kind = {}",
        "since": "t.occurred_at >= {}",
        "until": "t.occurred_at < {}",
    },
    refers={"customer": "customer"},
    stamped_by="gateway",
)


async def transactions(
    tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]
) -> Part[LedgerTransaction]:
    """Return postings with their entries, newest first. given: values by filter of `TRANSACTIONS`."""
    return await part(tx, TRANSACTIONS, tenant_id=tenant_id, given=given, page=page, view=LedgerTransaction.of)
