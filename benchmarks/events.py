"""Paid events as Stripe sends them, each of a payment of its own, made from one real-looking text."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

import msgspec

from bursar.money.gateways.sandbox import SandboxPrice, business

MEMBERSHIP: Final = SandboxPrice("price_member", "membership", "prod_member", 2000, "EUR", "month")
PACK: Final = SandboxPrice("price_pack", "pack-10", "prod_pack", 5000, "EUR")
COURSE: Final = SandboxPrice("price_course", "course", "prod_course", 9900, "EUR")
PRICES: Final = (MEMBERSHIP, PACK, COURSE)

INVOICES_OF_ONE = 4
"""Invoices of one subscription, and so of one customer: a membership that was renewed three times."""

_START = datetime(2026, 1, 1, tzinfo=UTC)
_NUMBER = b"@@@@@@@@@@"
_OWNER = b"%%%%%%%%%%"


def paid_event(number: int, series: str = "a") -> bytes:
    """Return an `invoice.paid` of some 3.4 kB that stands alone: invoice, line and event are its own.

    number: of the event, up to ten digits. series: keeps events of different runs apart.
    """
    first, again = _texts()
    owner, period = divmod(number, INVOICES_OF_ONE)
    text = again if period else first
    mark = series.encode()
    return text.replace(_NUMBER, mark + b"%09d" % number).replace(_OWNER, mark + b"%09d" % owner)


def paid_events(count: int, series: str = "a") -> Iterator[bytes]:
    """Return that many paid events."""
    return (paid_event(number, series) for number in range(count))


def mixed_events(customers: int, seed: int = 1) -> list[bytes]:
    """Return the events of a whole business: some thirty of all types for each customer."""
    return [
        event.body for event in business(seed, customers=customers, start=_START, months=4, prices=[MEMBERSHIP, PACK])
    ]


@lru_cache(maxsize=1)
def _texts() -> tuple[bytes, bytes]:
    """Return the text of a subscription's first paid invoice and of a later one, with its ids left open."""
    made = business(1, customers=60, start=_START, months=2, prices=[MEMBERSHIP], old_share=0)
    first = next(e for e in made if e.type == "invoice.paid" and b'"subscription_create"' in e.body)
    invoice = msgspec.json.decode(first.body)["data"]["object"]
    line = invoice["lines"]["data"][0]
    text = first.body.replace(first.id.encode(), b"evt_1_" + _NUMBER)
    for ref, mark in (
        (invoice["id"], b"in_1_" + _NUMBER),
        (line["id"], b"il_1_" + _NUMBER),
        (invoice["number"], _NUMBER),
        (invoice["customer"], b"cus_" + _OWNER),
        (invoice["customer_email"], _OWNER + b"@example.com"),
        (line["parent"]["subscription_item_details"]["subscription_item"], b"si_" + _OWNER),
        (line["parent"]["subscription_item_details"]["subscription"], b"sub_1_" + _OWNER),
    ):
        text = text.replace(ref.encode(), mark)
    return text, text.replace(b'"subscription_create"', b'"subscription_cycle"')
