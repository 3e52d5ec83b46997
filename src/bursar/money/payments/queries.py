"""Reads of payments, refunds, disputes and invoices. A payment that gave way to its heir is answered by the heir."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import NotFound
from bursar.kernel.listing import Listing, Part, Slice, part
from bursar.money.payments.schemas import Dispute, Invoice, Payment, Refund


class PaymentNotFound(NotFound):
    """No payment of this tenant has this id."""

    code = "payment_not_found"


class RefundNotFound(NotFound):
    """No refund of this tenant has this id."""

    code = "refund_not_found"


class DisputeNotFound(NotFound):
    """No dispute of this tenant has this id."""

    code = "dispute_not_found"


class InvoiceNotFound(NotFound):
    """No invoice of this tenant has this id."""

    code = "invoice_not_found"


_REFERS = {"customer": "customer", "gateway_account": "gateway_account", "payment": "payment"}

_PAYMENT = """select p.id, p.customer_id as customer, p.gateway_account_id as gateway_account, p.gateway_ref, p.charge_ref,
  p.status, p.amount_minor, p.currency, p.refunded_minor, p.is_disputed as disputed, p.failure_code, p.failure_message,
  p.description, p.created_at, p.updated_at
from payment p"""

PAYMENTS = Listing(
    select=_PAYMENT,
    tenant="p.tenant_id",
    key="p.id",
    always=("p.superseded_by is null",),
    filters={
        "customer": "p.customer_id = {}",
        "status": "p.status = {}",
        # Two index look-ups, joined; an "or" over two columns would have none.
        "gateway_ref": """p.id in (
    select a.id from payment a where a.tenant_id = $1 and a.gateway_ref = {}
    union all select b.id from payment b where b.tenant_id = $1 and b.charge_ref = {})""",
        "gateway_account": "p.gateway_account_id = {}",
        "currency": "p.currency = {}",
        "since": "p.created_at >= {}",
        "until": "p.created_at < {}",
    },
    refers=_REFERS,
    stamped_by="gateway",
)

# A payment that we asked for, while its gateway reports none.
_ASKED_PAYMENT = """
select a.id, a.customer_id as customer, a.gateway_account_id as gateway_account, a.gateway_ref, null as charge_ref,
  a.status, a.amount_minor, a.currency, 0 as refunded_minor, false as disputed, a.failure_code, a.failure_message,
  null as description, a.created_at, coalesce(g.ended_at, a.created_at) as updated_at
from asked_payment a join gateway_call g on g.tenant_id = a.tenant_id and g.id = a.call_id
where a.tenant_id = $1 and a.id = $2
"""

_CALL_OF_ASKED = "select call_id from asked_payment where tenant_id = $1 and id = $2"

# Stand-ins point at their heirs, who may be stand-ins themselves; a chain is as long as there were reports.
_PAYMENT_OR_HEIR = f"""
with recursive line (id, superseded_by, step) as (
  select id, superseded_by, 1 from payment where tenant_id = $1 and id = $2
  union all
  -- One that we asked for and that was reported before anything said that it is ours.
  select o.id, o.superseded_by, 1 from asked_payment a
  join payment o on o.tenant_id = $1 and o.gateway_ref = a.gateway_ref and o.gateway_account_id = a.gateway_account_id and o.id <> a.id
  where a.tenant_id = $1 and a.id = $2
  union all
  select h.id, h.superseded_by, l.step + 1 from line l
  join payment h on h.tenant_id = $1 and h.id = l.superseded_by
  where l.step < 32
)
{_PAYMENT} join line on line.id = p.id where p.tenant_id = $1 order by line.step desc limit 1
"""

_OF_PAYMENT = "join payment p on p.tenant_id = {0}.tenant_id and p.id = {0}.payment_id"

_REFUND = f"""select r.id, coalesce(p.superseded_by, p.id) as payment, p.customer_id as customer,
  r.gateway_account_id as gateway_account, r.gateway_ref, r.status, r.amount_minor, r.currency, coalesce(r.asked_reason, r.reason) as reason,
  r.failure, r.created_at
from refund r {_OF_PAYMENT.format("r")}"""

_DISPUTE = f"""select d.id, coalesce(p.superseded_by, p.id) as payment, p.customer_id as customer,
  d.gateway_account_id as gateway_account, d.gateway_ref, d.status, d.is_inquiry, d.amount_minor, d.currency, d.reason,
  d.due_by, d.withdrawn_minor, d.reinstated_minor, d.created_at
from dispute d {_OF_PAYMENT.format("d")}"""

_INVOICE = """select i.id, i.customer_id as customer, i.gateway_account_id as gateway_account, i.gateway_ref,
  i.subscription_ref, i.number, i.status, i.total_minor, i.paid_minor, i.currency, i.billing_reason,
  i.lines::text as lines, i.due_at, i.paid_at, i.created_at
from invoice i"""


def _filters(alias: str, **others: str) -> dict[str, str]:
    return {
        "status": f"{alias}.status = {{}}",
        "gateway_ref": f"{alias}.gateway_ref = {{}}",
        "gateway_account": f"{alias}.gateway_account_id = {{}}",
        "since": f"{alias}.created_at >= {{}}",
        "until": f"{alias}.created_at < {{}}",
        **others,
    }


REFUNDS = Listing(
    select=_REFUND,
    tenant="r.tenant_id",
    key="r.id",
    always=("r.same_as is null",),
    filters=_filters("r", customer="p.customer_id = {}", payment="r.payment_id = {}"),
    refers=_REFERS,
    stamped_by="gateway",
)
DISPUTES = Listing(
    select=_DISPUTE,
    tenant="d.tenant_id",
    key="d.id",
    filters=_filters("d", customer="p.customer_id = {}", payment="d.payment_id = {}", due_before="d.due_by < {}"),
    refers=_REFERS,
    stamped_by="gateway",
)
INVOICES = Listing(
    select=_INVOICE,
    tenant="i.tenant_id",
    key="i.id",
    filters=_filters("i", customer="i.customer_id = {}"),
    refers=_REFERS,
    stamped_by="gateway",
)

ONE = {
    "refund": f"{_REFUND} where r.tenant_id = $1 and r.id = (select coalesce(same_as, id) from refund where tenant_id = $1 and id = $2)",
    "dispute": f"{_DISPUTE} where d.tenant_id = $1 and d.id = $2",
    "invoice": f"{_INVOICE} where i.tenant_id = $1 and i.id = $2",
}


async def payments(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[Payment]:
    """Return payments, newest first. given: values by filter of `PAYMENTS`; `gateway_ref` finds charges too."""
    return await part(tx, PAYMENTS, tenant_id=tenant_id, given=given, page=page, view=Payment.of)


async def payment(tx: Transaction, *, tenant_id: UUID, payment_id: UUID) -> Payment:
    """Return a payment, or the one that it gave way to. Raises PaymentNotFound."""
    row = await tx.fetchrow(_PAYMENT_OR_HEIR, tenant_id, payment_id)
    row = row or await tx.fetchrow(_ASKED_PAYMENT, tenant_id, payment_id)
    if row is None:
        raise _unknown_payment(payment_id)
    return Payment.of(row)


async def call_of_asked(tx: Transaction, *, tenant_id: UUID, payment_id: UUID) -> UUID:
    """Return the gateway call that takes a payment which we asked for. Raises PaymentNotFound."""
    found: UUID | None = await tx.fetchval(_CALL_OF_ASKED, tenant_id, payment_id)
    if found is None:
        raise _unknown_payment(payment_id)
    return found


def _unknown_payment(payment_id: UUID) -> PaymentNotFound:
    return PaymentNotFound(f"there is no payment {ids.show(ids.PAYMENT, payment_id)}")


async def refunds(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[Refund]:
    """Return refunds, newest first. given: values by filter of `REFUNDS`."""
    return await part(tx, REFUNDS, tenant_id=tenant_id, given=given, page=page, view=Refund.of)


async def refund(tx: Transaction, *, tenant_id: UUID, refund_id: UUID) -> Refund:
    """Return one refund. Raises RefundNotFound."""
    row = await tx.fetchrow(ONE["refund"], tenant_id, refund_id)
    if row is None:
        raise RefundNotFound(f"there is no refund {ids.show(ids.REFUND, refund_id)}")
    return Refund.of(row)


async def disputes(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[Dispute]:
    """Return disputes, newest first. given: values by filter of `DISPUTES`."""
    return await part(tx, DISPUTES, tenant_id=tenant_id, given=given, page=page, view=Dispute.of)


async def dispute(tx: Transaction, *, tenant_id: UUID, dispute_id: UUID) -> Dispute:
    """Return one dispute. Raises DisputeNotFound."""
    row = await tx.fetchrow(ONE["dispute"], tenant_id, dispute_id)
    if row is None:
        raise DisputeNotFound(f"there is no dispute {ids.show(ids.DISPUTE, dispute_id)}")
    return Dispute.of(row)


async def invoices(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[Invoice]:
    """Return invoices, newest first. given: values by filter of `INVOICES`."""
    return await part(tx, INVOICES, tenant_id=tenant_id, given=given, page=page, view=Invoice.of)


async def invoice(tx: Transaction, *, tenant_id: UUID, invoice_id: UUID) -> Invoice:
    """Return one invoice. Raises InvoiceNotFound."""
    row = await tx.fetchrow(ONE["invoice"], tenant_id, invoice_id)
    if row is None:
        raise InvoiceNotFound(f"there is no invoice {ids.show(ids.INVOICE, invoice_id)}")
    return Invoice.of(row)
