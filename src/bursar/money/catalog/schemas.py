"""Products and prices as others see them, and as they are written down."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, field_validator

from bursar.kernel.http import AmountMinor, Currency, FromJson, Input, Key, Lines, Name, View
from bursar.kernel.http.identifiers import AccountId, PriceId, ProductId
from bursar.money.catalog.prices import Interval

GRANTS_MAX = 20
REFS_MAX = 100

Grant = Annotated[
    dict[str, Any],
    Field(
        description="`kind` says which: credits, feature, quota, licence, or one that an app added.",
        examples=[{"kind": "credits", "amount": 10, "pool": "classes", "expires_after": "P3M"}],
    ),
]


class Product(View):
    """What is sold, whatever it costs."""

    id: ProductId
    name: str = Field(examples=["Ten classes"])
    description: str
    is_active: bool
    created_at: datetime
    deleted_at: datetime | None = Field(description="Deleted ones are hidden from lists, and can be restored.")


class GatewayRef(Input):
    """The name that a gateway account knows a price by."""

    gateway_account: AccountId
    ref: Key = Field(examples=["price_1QXg1o8vcGmoR32Z"])


class ShownRef(View):
    """A name that a gateway account knows the price by."""

    gateway_account: AccountId
    ref: str = Field(examples=["price_1QXg1o8vcGmoR32Z"])

    @field_validator("gateway_account", mode="before")
    @classmethod
    def _from_database(cls, value: Any) -> Any:
        return UUID(value) if isinstance(value, str) else value


class PriceView(View):
    """What a product costs, and what paying it grants. The terms never change; new terms are a new price."""

    id: PriceId
    product: ProductId
    lookup_key: str | None = Field(examples=["ten-classes"])
    amount_minor: AmountMinor
    currency: Currency
    interval: Interval | None
    interval_count: int
    gateway_refs: Annotated[list[ShownRef], FromJson]
    grants: Annotated[list[Grant], FromJson]
    recovers_shortfall: bool = Field(description="Credits it grants first make good what was spent and then refunded.")
    is_active: bool
    created_at: datetime
    deleted_at: datetime | None = Field(description="Deleted ones are hidden from lists, and can be restored.")


class NewProduct(Input):
    name: Name = Field(examples=["Ten classes"])
    description: Lines = ""


class NewPrice(Input):
    product: ProductId
    lookup_key: Key | None = Field(default=None, examples=["ten-classes"])
    amount_minor: AmountMinor = Field(examples=[12000])
    currency: Currency
    interval: Interval | None = None
    interval_count: Annotated[int, Field(strict=True, ge=1, le=1000)] = 1
    gateway_refs: list[GatewayRef] = Field(default_factory=list, max_length=REFS_MAX)
    grants: list[Grant] = Field(default_factory=list, max_length=GRANTS_MAX)
    recovers_shortfall: bool = False


class NewGatewayRefs(Input):
    gateway_refs: list[GatewayRef] = Field(min_length=1, max_length=REFS_MAX)
