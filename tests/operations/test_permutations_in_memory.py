"""Any order and any repetition of what a gateway told ends in the same state: the pure half, in memory, tens of thousands of orders."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import permutations
from random import Random

import pytest
from histories import HISTORIES, LEGACY, History, Told
from model import Model, reports_of

from bursar.money.gateways.sandbox import SandboxPrice, business

ALL_ORDERS_UP_TO = 6
SAMPLED_ORDERS = 2000
REPEATED_ORDERS = 1000
LIVES = 120


def batches(order: list[int], random: Random) -> Iterator[list[int]]:
    """Cut an order into batches of random sizes."""
    at = 0
    while at < len(order):
        size = random.choice((1, 1, 1, 2, 3, len(order)))
        yield order[at : at + size]
        at += size


def orders_of(length: int, random: Random) -> Iterator[list[int]]:
    """Every order of a short history, many of a longer one; and many with events told twice or more."""
    if length <= ALL_ORDERS_UP_TO:
        yield from map(list, permutations(range(length)))
    else:
        for _ in range(SAMPLED_ORDERS):
            yield random.sample(range(length), length)
    for _ in range(REPEATED_ORDERS):
        order = [*range(length), *random.choices(range(length), k=random.randint(1, length))]
        random.shuffle(order)
        yield order


def count_of(history: History) -> int:
    return sum(1 for _ in orders_of(len(history.events), Random(history.name)))


def test_at_least_ten_thousand_orders_are_tried():
    assert sum(map(count_of, HISTORIES)) >= 10_000


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.name)
def test_any_order_and_repetition_ends_alike(history):
    reports = reports_of(history)
    calm = Model()
    for report in reports:
        calm.merge([report])
    expected = calm.state()

    random = Random(history.name)
    for order in orders_of(len(reports), random):
        model = Model()
        parts = list(batches(order, random))
        for part in parts:
            model.merge([reports[index] for index in part])
        assert model.state() == expected, parts


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.name)
def test_every_prefix_of_every_order_has_a_meaning(history):
    reports = reports_of(history)
    random = Random(history.name)

    for _ in range(60):
        model = Model()
        for index in random.sample(range(len(reports)), len(reports)):
            model.merge([reports[index]])
            model.state()


SANDBOX_PRICES = (
    SandboxPrice("price_pack", "pack-10", "prod_1", 5000, "EUR"),
    SandboxPrice("price_course", "course", "prod_2", 9900, "EUR"),
    SandboxPrice("price_member", "membership", "prod_3", 2000, "EUR", "month"),
)


@pytest.mark.parametrize("seed", range(LIVES))
def test_a_customers_whole_life_in_any_order(seed):
    life = business(
        seed,
        customers=1,
        start=datetime(2026, 1, 1, tzinfo=UTC),
        months=6,
        prices=SANDBOX_PRICES,
        unnamed_share=0.1,
        old_share=0.5,
    )
    reports = reports_of(History("a life", "sandbox", tuple(Told(e.type, e.created, json.loads(e.body)) for e in life)))
    calm = Model()
    for report in reports:
        calm.merge([report])
    expected = calm.state()

    random = Random(seed)
    for _ in range(12):
        order = [*range(len(reports)), *random.choices(range(len(reports)), k=len(reports) // 2)]
        random.shuffle(order)
        model = Model()
        for part in batches(order, random):
            model.merge([reports[index] for index in part])
        assert model.state() == expected


def test_the_comparison_can_fail():
    """The control: where the last report to come wins, instead of the newest, orders end differently."""

    class LastWins(Model):
        def merge(self, events):
            super().merge(events)
            for event in events:
                for report in event:
                    self.rows |= self.newest([report])

    reports = reports_of(LEGACY)
    states = []
    for order in permutations(range(len(reports))):
        model = LastWins()
        for index in order:
            model.merge([reports[index]])
        if model.state() not in states:
            states.append(model.state())

    assert len(states) > 1


def test_two_subjects_do_not_disturb_each_other():
    random = Random(7)
    one, other = HISTORIES[1], HISTORIES[-1]
    reports = [*reports_of(one), *reports_of(other)]
    calm = Model()
    calm.merge(reports)
    expected = calm.state()

    for _ in range(300):
        model = Model()
        for part in batches(random.sample(range(len(reports)), len(reports)), random):
            model.merge([reports[index] for index in part])
        assert model.state() == expected
