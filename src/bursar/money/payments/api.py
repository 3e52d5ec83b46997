"""Routes of payments, refunds and invoices."""

from typing import Annotated

from fastapi import APIRouter, Path, Query

from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Currency, Instant, Key, Page, PageFilters, page_of
from bursar.kernel.http.identifiers import AccountId, CustomerId, InvoiceId, PaymentId, RefundId
from bursar.kernel.http.revalidation import revalidated
from bursar.money.customers import require_customer
from bursar.money.payments import queries
from bursar.money.payments.schemas import (
    Invoice,
    InvoiceState,
    Payment,
    PaymentState,
    Refund,
    RefundState,
)

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["payments"])


class _Filters(PageFilters):
    customer: CustomerId | None = None
    gateway_ref: Key | None = None
    gateway_account: AccountId | None = None
    since: Instant | None = None
    until: Instant | None = None


class PaymentFilters(_Filters):
    """`gateway_ref` finds the payment by the gateway's id of it or of its charge."""

    status: PaymentState | None = None
    currency: Currency | None = None


class OwnPaymentFilters(PageFilters):
    status: PaymentState | None = None
    since: Instant | None = None
    until: Instant | None = None


class RefundFilters(_Filters):
    payment: PaymentId | None = None
    status: RefundState | None = None


class InvoiceFilters(_Filters):
    status: InvoiceState | None = None


@router.get("/payments")
@needs("payments:read")
async def list_payments(caller: CallerOf, filters: Annotated[PaymentFilters, Query()]) -> Page[Payment]:
    """List payments, newest first."""
    async with caller.transaction() as tx:
        return page_of(await queries.payments(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given))


@router.get("/payments/{payment}")
@needs("payments:read")
@revalidated
async def get_payment(caller: CallerOf, payment: Annotated[PaymentId, Path()]) -> Payment:
    """Return one payment. An id that stood in for it until the gateway told more goes on naming it."""
    async with caller.transaction() as tx:
        return await queries.payment(tx, tenant_id=caller.tenant_id, payment_id=payment)


@router.get("/customers/{customer}/payments", tags=["customers"])
@needs("payments:read")
async def list_payments_of_customer(
    caller: CallerOf, customer: Annotated[CustomerId, Path()], filters: Annotated[OwnPaymentFilters, Query()]
) -> Page[Payment]:
    """List one customer's payments, newest first."""
    async with caller.transaction() as tx:
        await require_customer(tx, tenant_id=caller.tenant_id, customer_id=customer)
        given = filters.given | {"customer": customer}
        return page_of(await queries.payments(tx, tenant_id=caller.tenant_id, page=filters.slice, given=given))


@router.get("/refunds")
@needs("refunds:read")
async def list_refunds(caller: CallerOf, filters: Annotated[RefundFilters, Query()]) -> Page[Refund]:
    """List refunds, newest first."""
    async with caller.transaction() as tx:
        return page_of(await queries.refunds(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given))


@router.get("/refunds/{refund}")
@needs("refunds:read")
async def get_refund(caller: CallerOf, refund: Annotated[RefundId, Path()]) -> Refund:
    """Return one refund."""
    async with caller.transaction() as tx:
        return await queries.refund(tx, tenant_id=caller.tenant_id, refund_id=refund)


@router.get("/invoices")
@needs("invoices:read")
async def list_invoices(caller: CallerOf, filters: Annotated[InvoiceFilters, Query()]) -> Page[Invoice]:
    """List invoices, newest first."""
    async with caller.transaction() as tx:
        return page_of(await queries.invoices(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given))


@router.get("/invoices/{invoice}")
@needs("invoices:read")
async def get_invoice(caller: CallerOf, invoice: Annotated[InvoiceId, Path()]) -> Invoice:
    """Return one invoice."""
    async with caller.transaction() as tx:
        return await queries.invoice(tx, tenant_id=caller.tenant_id, invoice_id=invoice)
