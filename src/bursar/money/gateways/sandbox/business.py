"""A whole business in the sandbox: its customers, what they buy, and every event Stripe would have sent."""

from collections.abc import Sequence
from datetime import datetime
from random import Random

from dateutil.relativedelta import relativedelta

from bursar.money.gateways.sandbox import checkouts, memberships, objects
from bursar.money.gateways.sandbox.billing_objects import SandboxPrice
from bursar.money.gateways.sandbox.checkouts import DAY_S
from bursar.money.gateways.sandbox.objects import Buyer, Layout
from bursar.money.gateways.sandbox.recorder import Recorder, SandboxEvent

_FIRST = ("Ada", "Bola", "Chen", "Dina", "Emre", "Fatou", "Goran", "Hana", "Ines", "Joao", "Kofi", "Lena", "Mira")
_LAST = ("Abara", "Brandt", "Costa", "Dube", "Eriksen", "Fischer", "Garcia", "Haddad", "Ito", "Jansen", "Kaya", "Levi")


def business(
    seed: int,
    *,
    customers: int,
    start: datetime,
    months: int,
    prices: Sequence[SandboxPrice],
    unnamed_share: float = 0.01,
    old_share: float = 0.25,
) -> list[SandboxEvent]:
    """Return the events of a business in chronological order; the same arguments give the same bytes.

    Each customer's life depends on the seed and their number only: more customers add lives and change none.
    start: aware. months: length of the timeline; what would happen after it has not happened.
    unnamed_share: single sales that do not say what was bought (unmatched money).
    old_share: customers whose events come in the layout of 2020.
    """
    begin, end = int(start.timestamp()), int((start + relativedelta(months=months)).timestamp())
    events: list[SandboxEvent] = []
    for number in range(customers):
        recorder = Recorder(Random(f"bursar sandbox {seed} {number}"), end)  # noqa: S311
        _live(recorder, number, begin, prices, unnamed_share=unnamed_share, old_share=old_share)
        events += recorder.events
    events.sort(key=lambda event: event.created)
    return events


def _live(
    recorder: Recorder,
    number: int,
    begin: int,
    prices: Sequence[SandboxPrice],
    *,
    unnamed_share: float,
    old_share: float,
) -> None:
    """Record one customer: arrival, a membership for most, and single purchases now and then."""
    arrival = begin + recorder.between(0, max(1, (recorder.end - begin) * 3 // 4))
    buyer = _arrive(recorder, number, arrival, Layout.old if recorder.chance(old_share) else Layout.current)
    recurring = [price for price in prices if price.interval]
    single = [price for price in prices if not price.interval]
    if recurring and (not single or recorder.chance(0.55)):
        memberships.subscribe(recorder, buyer, recorder.random.choice(recurring), at=arrival + 60)
    at = arrival + recorder.between(120, 10 * DAY_S)
    while single and at < recorder.end:
        checkouts.checkout(
            recorder,
            buyer,
            recorder.random.choice(single),
            quantity=recorder.random.choices((1, 2, 3), weights=(8, 1, 1))[0],
            at=at,
            is_named=not recorder.chance(unnamed_share),
        )
        at += recorder.between(5 * DAY_S, 60 * DAY_S)
    _change(recorder, buyer, arrival)


def _arrive(recorder: Recorder, number: int, at: int, layout: Layout) -> Buyer:
    name = f"{recorder.random.choice(_FIRST)} {recorder.random.choice(_LAST)}"
    buyer = Buyer(
        id=recorder.id("cus", 14),
        email=f"{name.lower().replace(' ', '.')}.{number}@example.com",
        name=name,
        created=at,
        card=recorder.id("pm_1", 23),
        last4=f"{recorder.between(0, 9999):04}",
        layout=layout,
    )
    recorder.record("customer.created", at, objects.customer(buyer, buyer.email), layout)
    recorder.record("payment_method.attached", at + 30, objects.payment_method(buyer, is_attached=True), layout)
    return buyer


def _change(recorder: Recorder, buyer: Buyer, arrival: int) -> None:
    """Some customers correct their address, some remove their card."""
    later = arrival + recorder.between(DAY_S, 90 * DAY_S)
    if recorder.chance(0.1):
        moved = objects.customer(buyer, f"new.{buyer.email}")
        recorder.record("customer.updated", later, moved, buyer.layout, previous={"email": buyer.email})
    if recorder.chance(0.05):
        gone = objects.payment_method(buyer, is_attached=False)
        recorder.record("payment_method.detached", later, gone, buyer.layout, previous={"customer": buyer.id})


def walk_in(seed: int, *, at: datetime, until: datetime, prices: Sequence[SandboxPrice]) -> list[SandboxEvent]:
    """Return what happens when somebody new comes in at `at` and buys something: the events up to `until`, in order.

    at, until: aware. The same arguments give the same bytes.
    """
    recorder = Recorder(Random(f"bursar sandbox walk-in {seed}"), int(until.timestamp()))  # noqa: S311
    arrival = int(at.timestamp())
    sold = recorder.random.choice(list(prices))
    buyer = _arrive(recorder, seed, arrival, Layout.current)
    if sold.interval:
        memberships.subscribe(recorder, buyer, sold, at=arrival + 20)
    else:
        checkouts.checkout(recorder, buyer, sold, quantity=1, at=arrival + 20, is_named=not recorder.chance(0.02))
    recorder.events.sort(key=lambda event: event.created)
    return recorder.events
