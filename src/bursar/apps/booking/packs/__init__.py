"""Packs: what is unused of one is refunded by a rule that everybody can read before.

What it is: the offer, the refund, and its end. What it is not: the money, which `money.refunding` promises and the gateway sends; and
other refunds, which take back their share of everything that was bought.

Invariants:
- a pack is refunded once; its unused credits are gone in the transaction that promises the money;
- never more goes back than was paid, less what was used; given credits are no part of it;
- while bookings to come are paid with it, it is not refunded: they are told, or cancelled first, as the business chose;
- credits that go to another customer leave one lot and come into one of the same pool and end, as many, once;
- when the refund is reported, nothing is left in the lot, and nothing is owed to it; when it is refused, all is as before.
"""

from bursar.apps.booking.packs import refunding, transferring
from bursar.apps.booking.packs.offers import Pack, Worth, worth
from bursar.apps.booking.packs.refunding import (
    KINDS,
    Offer,
    PackHasBookings,
    PackNotRefundable,
    PackRefund,
    PackRefundChanged,
    PackRefunded,
    PackUsedUp,
    RefundWindowOver,
    offer,
    refund_pack,
)
from bursar.apps.booking.packs.transferring import (
    CreditsNotTransferable,
    CreditTransferNotFound,
    CreditTransferUnfit,
    LotNotFound,
    transfer_credits,
)

SPENDS = (transferring.SPENDS, refunding.SPENDS)
"""Which spends are a transfer's or a pack's refund's own."""

__all__ = [
    "KINDS",
    "SPENDS",
    "CreditTransferNotFound",
    "CreditTransferUnfit",
    "CreditsNotTransferable",
    "LotNotFound",
    "Offer",
    "Pack",
    "PackHasBookings",
    "PackNotRefundable",
    "PackRefund",
    "PackRefundChanged",
    "PackRefunded",
    "PackUsedUp",
    "RefundWindowOver",
    "Worth",
    "offer",
    "refund_pack",
    "transfer_credits",
    "worth",
]
