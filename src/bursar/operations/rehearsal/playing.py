"""Play: step after step, everything checked after each, until something is broken or the seed is played."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import Any, Final

from bursar.kernel.db import Database
from bursar.kernel.seal import Seal
from bursar.money.fulfilment import Registry
from bursar.operations.invariants import INVARIANTS
from bursar.operations.invariants.booking import BOOKING
from bursar.operations.invariants.grants import GRANTS
from bursar.operations.rehearsal.acts import WEIGHTS, Acts
from bursar.operations.rehearsal.gateway import Gateway
from bursar.operations.rehearsal.stage import Stage, set_stage
from bursar.operations.verify import found, standing_kinds

_CUSTOMERS: Final = 6
_CLASSES: Final = 5
_ENDING_MAX: Final = 40
_SHOWN: Final = 3

_UNSETTLED = """
select s.status, s.reason, b.status as booking_status from seat_payment s
left join booking b on b.tenant_id = s.tenant_id and b.id = s.booking_id
where s.tenant_id = $1 and (s.status = 'returning' or (s.status = 'waiting' and not s.is_disputed))
"""
_HELD = (
    "select status, held_until from booking where tenant_id = $1 and status in ('requested', 'held') and starts_at < $2"
)


@dataclass(slots=True)
class Rehearsed:
    """What was played. acts, answers: counted. lines: each act in words, by which one can see where two rehearsals part.

    broken: what the last act left broken, by the name of the invariant, with rows.
    """

    seed: int
    steps: int = 0
    acts: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    deliveries: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)
    broken: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return not self.broken

    @property
    def trace(self) -> str:
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()

    def report(self) -> dict[str, Any]:
        """Return what `bursar simulate --json` prints of it."""
        return {
            "ok": self.ok,
            "seed": self.seed,
            "steps": self.steps,
            "acts": dict(self.acts),
            "answers": dict(self.answers),
            "deaths": dict(self.deaths),
            "deliveries": dict(self.deliveries),
            "trace": self.trace,
            "broken": self.broken,
            "last": [] if self.ok else self.lines[-_SHOWN:],
        }


async def rehearse(db: Database, *, seed: int, acts: int, seal: Seal, registry: Registry) -> Rehearsed:
    """Let so many acts happen, and then let everything come to its end.

    db: where nobody else works on jobs and events meanwhile.
    """
    random = Random(f"bursar rehearsal {seed}")  # noqa: S311 - it must repeat
    stage = await set_stage(db, seal=seal, registry=registry, random=random)
    gateway = Gateway(stage)
    life = Acts(stage, gateway)
    done = Rehearsed(seed, deaths=stage.deaths, deliveries=gateway.seen)
    for n in range(_CUSTOMERS):
        gateway.sell_pack(f"cus_{n + 1}")
    for _ in range(_CLASSES):
        await life.plan()
    await gateway.deliver(everything=True)
    for _ in range(acts):
        await _step(stage, life, done)
        if done.broken:
            return done
    await _end(stage, gateway, done)
    return done


async def _step(stage: Stage, life: Acts, done: Rehearsed) -> None:
    random = stage.random
    stage.now += timedelta(seconds=random.choice((30, 60, 300, 600, 1_800, 3_600)))
    act = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    answer = await act(life)
    done.steps += 1
    done.acts[act.__name__] += 1
    done.answers[f"{act.__name__}: {answer}"] += 1
    done.lines.append(f"{done.steps} {act.__name__}: {answer}")
    done.broken = await _broken(stage, (*BOOKING, *GRANTS))


async def _end(stage: Stage, gateway: Gateway, done: Rehearsed) -> None:
    """Let every report arrive, every deadline pass and every refund be made; then hold everything to everything."""
    for _ in range(_ENDING_MAX):
        stage.now += timedelta(hours=8)
        await gateway.refund_what_was_asked()
        await gateway.deliver(everything=True)
        await stage.work()
    done.broken = await _broken(stage, INVARIANTS)
    if unsettled := await stage.rows(_UNSETTLED):
        done.broken["money_for_seats_comes_to_an_end"] = [dict(row) for row in unsettled[:_SHOWN]]
    if held := await stage.rows(_HELD, stage.now):
        done.broken["holds_end"] = [dict(row) for row in held[:_SHOWN]]


async def _broken(stage: Stage, invariants: Sequence[Any]) -> dict[str, Any]:
    standing = standing_kinds(stage.registry)
    broken = {}
    async with stage.db.tenant(stage.tenant_id) as tx:
        for invariant in invariants:
            parameters = [stage.tenant_id, *([standing] if invariant.takes_standing else [])]
            rows = await tx.fetch(invariant.statement(limit=_SHOWN), *parameters)
            if rows:
                broken[invariant.name] = found(invariant, rows, checked=0).offending
    return broken
