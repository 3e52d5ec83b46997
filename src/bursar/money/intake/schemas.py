"""Gateway events and accounts as others see them."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from bursar.kernel.http import FromJson, View
from bursar.kernel.http.identifiers import AccountId, EventId

EventStatus = Literal["received", "applied", "ignored", "failed", "dead"]
GatewayName = Literal["stripe", "dodo", "manual", "sandbox"]


class GatewayAccount(View):
    """An account at a gateway. Its secrets are never shown."""

    id: AccountId
    gateway: GatewayName
    name: str = Field(examples=["Stripe, main shop"])
    webhook_url: str = Field(examples=["https://pay.example.org/v1/webhooks/gwa_01kapj5m6rfq1v5wx6h0b1a2c3"])
    signing_secrets: int = Field(description="How many are in force.", examples=[1])
    has_api_key: bool
    tolerance_s: int = Field(description="How far signed times may be from our clock.", examples=[300])
    deliveries_per_minute: int | None = Field(description="How many validly signed deliveries are taken; null: all.")
    base_url: str | None = Field(description="Where its gateway is; null: at its own address.")
    is_active: bool
    created_at: datetime


class GatewayEvent(View):
    """One report of a gateway, or one of Bursar's own."""

    id: EventId
    gateway_account: AccountId
    gateway_event_id: str = Field(examples=["evt_1QXg1o8vcGmoR32Z"])
    type: str = Field(examples=["checkout.session.completed"])
    origin: Literal["gateway", "operator"]
    status: EventStatus
    attempts: int = Field(description="How often it was tried to apply it.", examples=[1])
    error: str | None = Field(description="Why the last attempt failed; null unless it is failed or dead.")
    retry_at: datetime | None = Field(description="When a failed event is tried again.")
    occurred_at: datetime = Field(description="The gateway's own time.")
    received_at: datetime
    applied_at: datetime | None


class FailedAttempt(View):
    attempt: int
    error: str
    at: datetime


class Outcome(View):
    """What became of an event. A replay adds one."""

    run: int
    outcome: Literal["applied", "ignored"]
    attempts: int
    at: datetime


class GatewayEventStory(GatewayEvent):
    """An event with what was tried and what became of it. Its raw body is at `…/body`."""

    body_bytes: int
    erased_at: datetime | None = Field(
        description="Since when the body is only what is left of it after a person whom it named was erased."
    )
    differing_repeats: int = Field(
        description="How often it was delivered again under its id with another content. The first one stands."
    )
    failures: Annotated[list[FailedAttempt], FromJson]
    outcomes: Annotated[list[Outcome], FromJson]


class Replayed(View):
    """How many events were queued again."""

    events: int = Field(examples=[1])
