"""A small studio's business: what the demo shows and the simulation sells."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bursar.kernel import tenancy
from bursar.kernel.db import Database, Transaction
from bursar.kernel.seal import Seal
from bursar.money.catalog import Interval, selling
from bursar.money.fulfilment import Registry
from bursar.money.gateways.sandbox import SandboxPrice
from bursar.money.intake.accounts import add_account

GATEWAY = "sandbox"
_TOLERANCE_S = 300


@dataclass(frozen=True, slots=True)
class Offer:
    """A product with its one price. key: the lookup key, which metadata `bursar_price` names."""

    key: str
    product: str
    description: str
    amount_minor: int
    currency: str
    grants: tuple[dict[str, Any], ...]
    interval: Interval | None = None

    @property
    def sandbox(self) -> SandboxPrice:
        """The same price as the gateway knows it."""
        name = self.key.replace("-", "_")
        return SandboxPrice(f"price_{name}", self.key, f"prod_{name}", self.amount_minor, self.currency, self.interval)


def _classes(amount: int, expires_after: str) -> dict[str, Any]:
    return {"kind": "credits", "amount": amount, "pool": "classes", "expires_after": expires_after}


OFFERS = (
    Offer(
        "class-pack-10",
        "Ten classes",
        "Ten classes of any kind, within six months.",
        12_000,
        "EUR",
        (_classes(10, "P6M"),),
    ),
    Offer("drop-in", "Single class", "One class, within a month.", 1_500, "EUR", (_classes(1, "P1M"),)),
    Offer(
        "membership-monthly",
        "Membership",
        "Eight classes a month, and booking a week before everybody else.",
        4_900,
        "EUR",
        (_classes(8, "P1M"), {"kind": "feature", "feature": "early-booking"}),
        "month",
    ),
    Offer(
        "membership-yearly",
        "Membership, yearly",
        "Unlimited sauna, a hundred classes a year, and early booking.",
        49_000,
        "EUR",
        (
            _classes(100, "P1Y"),
            {"kind": "feature", "feature": "early-booking"},
            {"kind": "feature", "feature": "sauna", "limit": 1, "per": "P1D"},
        ),
        "year",
    ),
    Offer(
        "handstand-course",
        "Course: from wall to handstand",
        "Twelve lessons to keep, on up to three devices.",
        8_900,
        "EUR",
        ({"kind": "licence", "course": "handstand", "activations": 3},),
    ),
    Offer(
        "messages-1000",
        "A thousand WhatsApp messages",
        "For reminders and news to your own customers.",
        2_500,
        "EUR",
        ({"kind": "quota", "meter": "whatsapp-messages", "amount": 1_000},),
    ),
)


@dataclass(frozen=True, slots=True)
class Studio:
    """A tenant with a catalogue and one sandbox account. api_key, signing_secret: shown this once."""

    tenant_id: UUID
    account_id: UUID
    api_key: str
    signing_secret: str


async def open_studio(
    db: Database,
    *,
    name: str,
    seal: Seal,
    registry: Registry,
    actor: str,
    now: datetime,
    offers: Sequence[Offer] = OFFERS,
    api_key: str | None = None,
) -> Studio:
    """Add a tenant that sells these offers through the sandbox. Raises what refuses a name or a grant."""
    tenant_id, api_key = await tenancy.create_tenant(db, name=name, actor=actor)
    async with db.tenant(tenant_id) as tx:
        account_id, secret = await equip(
            tx, tenant_id=tenant_id, seal=seal, registry=registry, actor=actor, now=now, offers=offers, api_key=api_key
        )
    return Studio(tenant_id, account_id, api_key, secret)


async def equip(
    tx: Transaction,
    *,
    tenant_id: UUID,
    seal: Seal,
    registry: Registry,
    actor: str,
    now: datetime,
    offers: Sequence[Offer] = OFFERS,
    api_key: str | None = None,
) -> tuple[UUID, str]:
    """Give a tenant a sandbox account and a catalogue; return the account and its signing secret.

    api_key: with which the account could be asked for something.
    """
    signing_secret = f"whsec_{secrets.token_hex(24)}"
    account = await add_account(
        tx,
        tenant_id=tenant_id,
        gateway_name=GATEWAY,
        name="Sandbox",
        signing_secrets=[signing_secret],
        api_key=api_key,
        tolerance_s=_TOLERANCE_S,
        seal=seal,
        actor=actor,
    )
    for offer in offers:
        product_id = await selling.add_product(
            tx, tenant_id=tenant_id, name=offer.product, description=offer.description, actor=actor
        )
        await selling.add_price(
            tx,
            tenant_id=tenant_id,
            product_id=product_id,
            lookup_key=offer.key,
            amount_minor=offer.amount_minor,
            currency=offer.currency,
            interval=offer.interval,
            interval_count=1,
            grants=offer.grants,
            gateway_refs=[(account.id, offer.sandbox.ref)],
            recovers_shortfall=False,
            check=registry,
            actor=actor,
            now=now,
        )
    return account.id, signing_secret
