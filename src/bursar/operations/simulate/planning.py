"""What will happen: the business, its deliveries and the faults. Pure: the same arguments give the same plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from random import Random
from typing import TypeVar

from bursar.money.gateways.sandbox import SandboxEvent, SandboxPrice, business

Choice = TypeVar("Choice")

_START = datetime(2026, 1, 5, tzinfo=UTC)
_MONTHS = 7
_EVENTS_PER_CUSTOMER = 18


class Way(StrEnum):
    """How a delivery goes."""

    whole = "whole"
    slow = "slow"  # the body comes in two parts, with a pause between them
    unread = "unread"  # sent whole, but the sender hangs up before the answer
    dropped = "dropped"  # never sent
    cut = "cut"  # the connection ends in the middle of the body
    forged = "forged"  # another event, signed with a wrong secret


_WAYS = {Way.whole: 80, Way.slow: 3, Way.unread: 5, Way.dropped: 5, Way.cut: 4, Way.forged: 3}
_TIMES = {1: 50, 2: 25, 3: 15, 4: 10}


class FaultKind(StrEnum):
    """What is done to the installation."""

    worker = "worker"  # SIGKILL
    api = "api"  # SIGKILL
    all = "all"  # SIGKILL to the API and every worker at once
    backends = "backends"  # pg_terminate_backend for some sessions
    database = "database"  # immediate shutdown, recovery from the log
    frozen = "frozen"  # SIGSTOP to a worker, for longer than its session may be silent


_FAULTS = {
    FaultKind.worker: 34,
    FaultKind.api: 18,
    FaultKind.all: 10,
    FaultKind.backends: 18,
    FaultKind.database: 14,
    FaultKind.frozen: 6,
}


@dataclass(frozen=True, slots=True)
class Delivery:
    """One attempt of the gateway. event: index. share: how much of the body comes before a pause or a cut."""

    event: int
    way: Way
    share: float = 0.5


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong once so many events were acknowledged. choice: from 0 to 1, who is hit."""

    after_acks: int
    kind: FaultKind
    choice: float


@dataclass(frozen=True, slots=True)
class Plan:
    """events: in the order in which they happened. deliveries: in the order in which they are attempted."""

    seed: int
    events: tuple[SandboxEvent, ...]
    deliveries: tuple[Delivery, ...]
    faults: tuple[Fault, ...]


def plan_of(*, seed: int, events: int, kills: int, prices: Sequence[SandboxPrice]) -> Plan:
    """Return the plan of a seed. kills: how many faults of any kind."""
    random = Random(f"bursar simulation {seed}")  # noqa: S311 - it must repeat
    happened = _happened(seed, events, prices)
    return Plan(seed, happened, _deliveries(random, len(happened)), _faults(random, kills, len(happened)))


def _happened(seed: int, count: int, prices: Sequence[SandboxPrice]) -> tuple[SandboxEvent, ...]:
    """Return the first events of a business that is large enough to have so many."""
    customers = max(2, count // _EVENTS_PER_CUSTOMER)
    while True:
        found = business(seed, customers=customers, start=_START, months=_MONTHS, prices=prices)
        if len(found) >= count:
            return tuple(found[:count])
        customers = customers * 3 // 2 + 1


def _deliveries(random: Random, count: int) -> tuple[Delivery, ...]:
    """Repeat each event one to four times, and let each repetition come late by a little, by a lot, or by anything."""
    attempts: list[tuple[float, Delivery]] = []
    for event in range(count):
        for _ in range(_picked(random, _TIMES)):
            lateness = random.choices(
                (random.expovariate(0.2), random.uniform(0, 200), random.uniform(0, count)), weights=(70, 20, 10)
            )[0]
            attempts.append((event + lateness, Delivery(event, _picked(random, _WAYS), random.random())))
    attempts.sort(key=lambda attempt: attempt[0])
    return tuple(delivery for _, delivery in attempts)


def _faults(random: Random, count: int, events: int) -> tuple[Fault, ...]:
    """Spread the faults over the middle of the run; the first ones are of different kinds, so that short runs have all."""
    kinds = [FaultKind.worker, FaultKind.database, FaultKind.api, FaultKind.backends, FaultKind.all, FaultKind.frozen]
    kinds = kinds[:count] + [_picked(random, _FAULTS) for _ in range(count - len(kinds))]
    random.shuffle(kinds)
    low, high = events * 5 // 100, events * 92 // 100
    points = sorted(random.randint(low, max(low, high)) for _ in kinds)
    return tuple(Fault(point, kind, random.random()) for point, kind in zip(points, kinds, strict=True))


def _picked(random: Random, weights: Mapping[Choice, int]) -> Choice:
    return random.choices(list(weights), weights=list(weights.values()))[0]
