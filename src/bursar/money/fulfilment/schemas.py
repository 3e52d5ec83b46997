"""Credits, entitlements and licences as others see them."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field, model_validator

from bursar.kernel import ids
from bursar.kernel.http.identifiers import (
    CustomerId,
    EntitlementId,
    EventId,
    LicenceId,
    LotId,
    MovementId,
    PriceId,
    SpendId,
)
from bursar.kernel.http.views import View

EntitlementState = Literal["active", "suspended", "revoked", "expired"]
MovementKind = Literal[
    "granted", "taken", "restored", "spent", "returned", "expired", "adjusted", "repaid", "recovered"
]


def source_of(kind: str | None, source_id: UUID | None, payment: UUID | None) -> str:
    """Return where a grant comes from, as the public names it."""
    if kind is None or source_id is None:
        return "adjustment"
    if kind == "subscription":
        return ids.show(ids.SUBSCRIPTION, source_id)
    return ids.show(ids.PAYMENT, payment) if payment else ids.show(ids.PURCHASE, source_id)


class _Sourced(View):
    source: str = Field(
        examples=["pay_01kapj5m6rfq1v5wx6h0b1a2c3"],
        description="The payment, purchase (where nothing was to pay) or subscription that granted it; or `adjustment`.",
    )

    @model_validator(mode="before")
    @classmethod
    def _named(cls, row: Any) -> Any:
        if isinstance(row, dict) and "source_kind" in row:
            source = source_of(row["source_kind"], row["source_id"], row["payment"])
            return {
                name: value for name, value in row.items() if name not in ("source_kind", "source_id", "payment")
            } | {"source": source}
        return row


class Pool(View):
    """balance: what can be spent now. shortfall: what was spent before it was taken back."""

    pool: str = Field(examples=["classes"])
    balance: int = Field(examples=[7])
    suspended: int = Field(description="Held back while a dispute is open.", examples=[0])
    shortfall: int = Field(examples=[0])


class Lot(_Sourced):
    """Credits granted together. remaining: what is left of them now."""

    id: LotId
    pool: str = Field(examples=["classes"])
    granted: int = Field(examples=[10])
    remaining: int = Field(examples=[7])
    spent: int = Field(examples=[3])
    taken: int = Field(description="Taken back by refunds and lost disputes.", examples=[0])
    shortfall: int = Field(examples=[0])
    status: Literal["active", "pending", "suspended", "expired"]
    price: PriceId | None
    effective_at: datetime
    expires_at: datetime | None
    created_at: datetime


class Credits(View):
    """One customer's credits. Lots are in the order in which they are spent."""

    pools: list[Pool]
    lots: list[Lot]


class Entitlement(_Sourced):
    """Something a customer has: a feature, a quota, a licence."""

    id: EntitlementId
    customer: CustomerId
    kind: str = Field(examples=["feature"])
    key: str = Field(examples=["messages"], description="Which feature, meter or course.")
    limit: int | None = Field(examples=[100], description="Null: unlimited.")
    per: str | None = Field(examples=["P1D"], description="The limit's window, ISO 8601; null: for its whole life.")
    status: EntitlementState
    starts_at: datetime
    ends_at: datetime | None
    price: PriceId | None
    licence: LicenceId | None


class CreditMovement(View):
    """One change of one lot. amount: signed, what it did to the lot. Movements are never changed."""

    id: MovementId
    lot: LotId
    pool: str = Field(examples=["classes"])
    kind: MovementKind
    amount: int = Field(examples=[-1])
    spend: SpendId | None
    event: EventId | None
    created_at: datetime


class Licence(View):
    """A licence key. activations_max: null is unlimited."""

    id: LicenceId
    key: str = Field(examples=["7K2M-Q9XD-4TRB-ZH3V"])
    customer: CustomerId | None
    product: str = Field(examples=["watercolour-basics"])
    activations: int = Field(examples=[1])
    activations_max: int | None = Field(examples=[3])
    status: EntitlementState
    expires_at: datetime | None
    entitlement: EntitlementId | None
    created_at: datetime
