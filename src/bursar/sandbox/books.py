"""The sandbox's balance: one entry for every movement of money, with fees as a European account pays them.

Fees: 1.5 % and 0.25 of the main unit for a charge, none for a refund, 20.00 for a dispute. Money is available after seven days.
"""

from typing import Final

from bursar.kernel.amounts import stripe_exponent
from bursar.money.gateways.fields import Json
from bursar.sandbox import shapes
from bursar.sandbox.work import Work

AVAILABLE_AFTER_S: Final = 7 * 86_400
_PER_MILLE: Final = 15
_FIXED: Final = 25
_DISPUTE: Final = 2000


def charged(work: Work, charge: Json, *, at_once: bool) -> str:
    """Enter a charge; return the entry's name."""
    currency = charge["currency"]
    fee = min(charge["amount"], (charge["amount"] * _PER_MILLE + 500) // 1000 + _hundredths(_FIXED, currency))
    kind = "payment" if charge["id"].startswith("py_") else "charge"
    available_on = work.now + (0 if at_once else AVAILABLE_AFTER_S)
    return enter(
        work, charge, amount=charge["amount"], fee=fee, kind=kind, category="charge", available_on=available_on
    )


def refunded(work: Work, refund: Json) -> str:
    """Enter a refund."""
    kind = "payment_refund" if refund["charge"].startswith("py_") else "refund"
    return enter(work, refund, amount=-refund["amount"], kind=kind, category="refund")


def returned(work: Work, refund: Json) -> str:
    """Enter that a refund came back."""
    kind = "payment_failure_refund" if refund["charge"].startswith("py_") else "refund_failure"
    return enter(work, refund, amount=refund["amount"], kind=kind, category="refund_failure")


def withdrawn(work: Work, dispute: Json) -> Json:
    """Enter what a dispute takes, with its fee; return the whole entry, which a dispute carries."""
    fee = _hundredths(_DISPUTE, dispute["currency"])
    ref = enter(work, dispute, amount=-dispute["amount"], fee=fee, kind="adjustment", category="dispute")
    return work.need("balance_transaction", ref)


def reinstated(work: Work, dispute: Json) -> Json:
    """Enter what a won dispute gives back; the fee stays paid."""
    ref = enter(work, dispute, amount=dispute["amount"], kind="adjustment", category="dispute_reversal")
    return work.need("balance_transaction", ref)


def enter(
    work: Work, source: Json, *, amount: int, fee: int = 0, kind: str, category: str, available_on: int | None = None
) -> str:
    """Write one entry."""
    made = shapes.balance_transaction(
        work.now,
        amount=amount,
        fee=fee,
        currency=source["currency"],
        source=source["id"],
        kind=kind,
        category=category,
        available_on=work.now if available_on is None else available_on,
    )
    return str(work.save(made)["id"])


def as_of(entry: Json, now: int) -> Json:
    """Return an entry as it is now: what was pending becomes available by itself."""
    return entry | {"status": "available" if entry["available_on"] <= now else "pending"}


def _hundredths(amount: int, currency: str) -> int:
    digits = stripe_exponent(currency.upper())
    return amount * int(10**digits) // 100
