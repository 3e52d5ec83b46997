"""What follows from a payment or a setup: the checkout, the invoice and the subscription that waited for it."""

from collections.abc import Callable

from bursar.money.gateways.fields import Json
from bursar.sandbox import buying, checkouts, cycles
from bursar.sandbox.refusals import Refusal
from bursar.sandbox.work import Work


def following(work: Work, act: Callable[[], Json]) -> Json:
    """Do something to a payment or a setup, and let it be followed, be it refused by the card's bank or not."""
    try:
        done = act()
    except Refusal as refusal:
        told = refusal.more.get("payment_intent") or refusal.more.get("setup_intent")
        if refusal.keeps and told:
            follow(work, told["id"])
        raise
    follow(work, done["id"])
    return work.need(done["object"], done["id"])


def follow(work: Work, ref: str) -> None:
    """Bring the state of a payment intent or a setup intent to whatever waits for it."""
    intent = work.find("payment_intent", ref)
    if intent is not None:
        cycles.payment_outcome(work, intent)
        checkouts.payment_outcome(work, intent)
        buying.subscription_outcome(work, intent)
        return
    setup = work.find("setup_intent", ref)
    if setup is not None:
        checkouts.setup_outcome(work, setup)
