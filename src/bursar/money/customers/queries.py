"""Reads of customers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import NotFound
from bursar.kernel.http.identifiers import AccountId, CustomerId
from bursar.kernel.http.views import View
from bursar.kernel.listing import Listing, Part, Slice, existence, part


class CustomerNotFound(NotFound):
    """No customer of this tenant has this id."""

    code = "customer_not_found"


class Customer(View):
    """Who pays."""

    id: CustomerId
    gateway_account: AccountId
    gateway_ref: str = Field(
        examples=["cus_QXg1o8vcGmoR32"], description="The gateway's id, or `email:…` or `guest:…` where it gives none."
    )
    email: str | None = Field(examples=["ada@example.org"])
    name: str | None = Field(examples=["Ada Lovelace"])
    phone: str | None
    deleted: bool = Field(description="At the gateway.")
    created_at: datetime
    deleted_at: datetime | None = Field(description="With us; deleted ones are hidden from lists, and can be restored.")
    erased_at: datetime | None = Field(description="Since when nothing that names the person is kept.")
    paid_since_deleted: bool = Field(description="Money arrived after the deletion: it is in the lists again.")


_SELECT = """select c.id, c.gateway_account_id as gateway_account, c.gateway_ref, c.email, c.name, c.phone,
  c.is_deleted as deleted, c.created_at, c.deleted_at, c.erased_at,
  c.deleted_at is not null and exists (select from payment p
    where p.tenant_id = c.tenant_id and p.customer_id = c.id and p.created_at > c.deleted_at) as paid_since_deleted
from customer c"""

CUSTOMERS = Listing(
    select=_SELECT,
    tenant="c.tenant_id",
    key="c.id",
    filters={
        "gateway_ref": "c.gateway_ref = {}",
        "email": "c.email_key = lower({})",
        "gateway_account": "c.gateway_account_id = {}",
        "present": """(c.deleted_at is null or exists (select from payment p
    where p.tenant_id = $1 and p.customer_id = c.id and p.created_at > c.deleted_at))""",
        "since": "c.created_at >= {}",
        "until": "c.created_at < {}",
    },
    refers={"gateway_account": "gateway_account"},
    stamped_by="gateway",
)

_ONE = f"{_SELECT} where c.tenant_id = $1 and c.id = $2"
_EXISTS = existence("customer")


async def customers(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[Customer]:
    """Return customers, newest first. given: values by filter of `CUSTOMERS`."""
    return await part(tx, CUSTOMERS, tenant_id=tenant_id, given=given, page=page, view=Customer.of)


async def customer(tx: Transaction, *, tenant_id: UUID, customer_id: UUID) -> Customer:
    """Return one customer. Raises CustomerNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, customer_id)
    if row is None:
        raise unknown(customer_id)
    return Customer.of(row)


async def require_customer(tx: Transaction, *, tenant_id: UUID, customer_id: UUID) -> None:
    """Refuse an id that is no customer of this tenant. Raises CustomerNotFound."""
    if not await tx.fetchval(_EXISTS, tenant_id, customer_id):
        raise unknown(customer_id)


def unknown(customer_id: UUID) -> CustomerNotFound:
    """Return the refusal of an id that is no customer."""
    shown = ids.show(ids.CUSTOMER, customer_id)
    return CustomerNotFound(f"there is no customer {shown}", hint="Look customers up at GET /v1/customers.")
