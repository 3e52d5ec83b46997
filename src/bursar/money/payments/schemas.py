"""Payments, refunds, disputes, invoices and checkouts as others see them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from bursar.kernel.http.identifiers import AccountId, CustomerId, DisputeId, InvoiceId, PaymentId, RefundId
from bursar.kernel.http.views import FromJson, View

PaymentState = Literal["pending", "requires_action", "processing", "succeeded", "failed", "canceled"]
RefundState = Literal["pending", "succeeded", "failed", "canceled"]
DisputeState = Literal["needs_response", "under_review", "won", "lost", "closed"]
InvoiceState = Literal["draft", "open", "paid", "void", "uncollectible"]

Amount = Annotated[int, Field(examples=[4500], description="Minor units of the currency (ISO 4217).")]
Code = Annotated[str, Field(examples=["EUR"])]
GatewayRef = Annotated[str, Field(examples=["pi_3QXg1o8vcGmoR32Z"], description="The gateway's own id of it.")]


class Payment(View):
    """Money that came, is on its way, or did not come."""

    id: PaymentId
    customer: CustomerId | None
    gateway_account: AccountId
    gateway_ref: Annotated[str | None, Field(examples=["pi_3QXg1o8vcGmoR32Z"])] = Field(
        description="The gateway's own id of it; null until it has one."
    )
    charge_ref: str | None = Field(examples=["ch_3QXg1o8vcGmoR32Z"])
    status: PaymentState
    amount_minor: Amount
    currency: Code
    refunded_minor: Amount
    disputed: bool = Field(description="A dispute of it is open.")
    failure_code: str | None
    failure_message: str | None
    description: str | None
    created_at: datetime
    updated_at: datetime


class Refund(View):
    """Money that went back, or is on its way back."""

    id: RefundId
    payment: PaymentId
    customer: CustomerId | None
    gateway_account: AccountId
    gateway_ref: Annotated[str | None, Field(description="The gateway's own id of it; null until it has one.")]
    status: RefundState
    amount_minor: Amount
    currency: Code
    reason: str | None
    failure: str | None = Field(description="Why the gateway refused it.")
    created_at: datetime


class Dispute(View):
    """A payment that its payer contests."""

    id: DisputeId
    payment: PaymentId
    customer: CustomerId | None
    gateway_account: AccountId
    gateway_ref: GatewayRef
    status: DisputeState
    is_inquiry: bool = Field(description="An early warning; no money is withdrawn yet.")
    amount_minor: Amount
    currency: Code
    reason: str | None
    due_by: datetime | None = Field(description="When the answer must be given.")
    withdrawn_minor: Amount
    reinstated_minor: Amount
    created_at: datetime


class InvoiceLine(BaseModel):
    """One line. `prices`: the gateway's price ids that name it, best first."""

    ref: str | None = None
    description: str | None = None
    prices: list[str] = Field(default_factory=list)
    quantity: int = 1
    amount_minor: int | None = None
    is_proration: bool = False
    period_start: datetime | None = None
    period_end: datetime | None = None


class Invoice(View):
    """What was asked for, and whether it is paid."""

    id: InvoiceId
    customer: CustomerId | None
    gateway_account: AccountId
    gateway_ref: GatewayRef
    subscription_ref: str | None = Field(examples=["sub_1QXg1o8vcGmoR32Z"])
    number: str | None
    status: InvoiceState
    total_minor: Amount
    paid_minor: Amount
    currency: Code
    billing_reason: str | None
    lines: Annotated[list[InvoiceLine], FromJson]
    due_at: datetime | None
    paid_at: datetime | None
    created_at: datetime
