"""The studio that is rehearsed: what it sells, its clock, who comes, and what became of one act."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final
from uuid import UUID

from bursar.apps.booking import bookings, packs, policies, schedule
from bursar.apps.booking.bookings import seat_jobs
from bursar.apps.booking.policies import Terms
from bursar.apps.booking.services.offering import NewService, NewTier, add_service, add_tier
from bursar.kernel.db import Database, Transaction
from bursar.kernel.errors import DomainError
from bursar.kernel.jobs import Engine, Kind, Kinds, Resources
from bursar.kernel.seal import Seal
from bursar.kernel.settings import Settings
from bursar.kernel.zones import zone_named
from bursar.money.fulfilment import Registry
from bursar.operations.studio import Offer, Studio, open_studio

BEGINNING: Final = datetime(2031, 3, 3, 12, tzinfo=UTC)
"""Clocks are set in New York six days later. It is far ahead of any machine's clock, so that nothing is due by that one."""
ZONE: Final = "America/New_York"
POOL: Final = "classes"
ACTOR: Final = "rehearsal"

PACK: Final = Offer(
    "pack", "Five classes", "", 5_000, "EUR", ({"kind": "credits", "amount": 5, "pool": POOL, "expires_after": "P3M"},)
)
SEAT: Final = Offer("seat", "A seat", "", 1_500, "EUR", ({"kind": "seat"},))

TERMS: Final = (
    Terms(cancel_minutes=720, reschedule_minutes=120),
    Terms(cancel_minutes=60, late_cancel="return", no_show="return", money_back=50, reschedule_minutes=0),
    Terms(waitlist_mode="offer", offer_minutes=30, cancel_minutes=240),
    Terms(needs_approval=True, cancel_minutes=120),
)

JOBS: Final[tuple[Kind, ...]] = (*bookings.KINDS, *seat_jobs.KINDS, *packs.KINDS)
"""Those of bookings and packs, which call nobody outside."""

_DIES: Final = 0.06
_PRICE = "select id from price where tenant_id = $1 and lookup_key = $2"
_BRING_FORWARD = """
update job set state = 'ready', run_at = clock_timestamp(), worker = null
where tenant_id = $1 and kind = any($2::text[]) and state in ('ready', 'scheduled') and run_at <= $3
"""

Act = Callable[[Transaction], Awaitable[str]]


class _Killed(Exception):
    """The process died."""


@dataclass(slots=True)
class Stage:
    """The studio as it stands. tier: a service and its tier. deaths: how often a process died, by when."""

    db: Database
    studio: Studio
    registry: Registry
    random: Random
    venue_id: UUID
    staff_id: UUID
    seat_price: UUID
    policies: Sequence[UUID]
    tier: tuple[UUID, UUID]
    now: datetime = BEGINNING
    deaths: Counter[str] = field(default_factory=Counter)

    @property
    def tenant_id(self) -> UUID:
        return self.studio.tenant_id

    def clock(self) -> datetime:
        return self.now

    async def rows(self, query: str, *values: object) -> list[Any]:
        async with self.db.tenant(self.tenant_id) as tx:
            return list(await tx.fetch(query, self.tenant_id, *values))

    def one_of(self, rows: Sequence[Any]) -> Any:
        """Return one of these; None where there is none. The seed decides either way."""
        at = self.random.random()
        return rows[int(at * len(rows))] if rows else None

    async def do(self, act: Act) -> str:
        """Let one caller act, in a process that may die before or after its commit; return what was answered.

        A caller that hears nothing asks again.
        """
        fate = self.random.random()
        try:
            async with self.db.tenant(self.tenant_id) as tx:
                said = await act(tx)
                _live_or_die(fate)
        except _Killed:
            self.deaths["before the commit"] += 1
            return f"{said}, and died"
        except DomainError as refusal:
            return refusal.code
        if fate < 1 - _DIES:
            return said
        self.deaths["after the commit"] += 1
        try:
            async with self.db.tenant(self.tenant_id) as tx:
                return f"{said}, again {await act(tx)}"
        except DomainError as refusal:
            return f"{said}, again {refusal.code}"

    async def work(self) -> int:
        """Do the jobs that are due by the studio's clock, one at a time; return how many attempts were made."""
        kinds = [kind.name for kind in JOBS]
        async with self.db.tenant(self.tenant_id) as tx:
            await tx.execute(_BRING_FORWARD, self.tenant_id, kinds, self.now)
        resources = Resources(self.db, Settings(database_url="", database_direct_url=""), now=self.clock)
        return await Engine(resources, Kinds(JOBS), at_once=1, name=ACTOR).drain()


def _live_or_die(fate: float) -> None:
    if fate < _DIES:
        raise _Killed


async def set_stage(db: Database, *, seal: Seal, registry: Registry, random: Random) -> Stage:
    """Open a studio with a venue, somebody who teaches and gives massages, terms of several kinds, and a pack and a seat to sell."""
    studio = await open_studio(
        db,
        name="Rehearsal",
        seal=seal,
        registry=registry,
        actor=ACTOR,
        now=BEGINNING,
        offers=(PACK, SEAT),
        api_key="sk_test_rehearsal",
    )
    who: dict[str, Any] = {"tenant_id": studio.tenant_id, "actor": ACTOR}
    async with db.tenant(studio.tenant_id) as tx:
        venue_id = await schedule.add_venue(tx, **who, name="Pier", time_zone=ZONE, address="")
        staff_id = await schedule.add_staff(tx, **who, name="Mia", about="", user_id=None)
        made = [
            await policies.create_policy(tx, **who, name=f"Terms {n}", terms=terms, is_default=n == 0)
            for n, terms in enumerate(TERMS)
        ]
        service_id = await add_service(tx, **who, new=NewService("Massage", policy_id=made[1].id))
        tier = NewTier("An hour", 60, after_min=15, price=SEAT.key)
        tier_id = await add_tier(tx, **who, service_id=service_id, new=tier, check=registry, now=BEGINNING)
        price_id = await tx.fetchval(_PRICE, studio.tenant_id, SEAT.key)
    return Stage(
        db=db,
        studio=studio,
        registry=registry,
        random=random,
        venue_id=venue_id,
        staff_id=staff_id,
        seat_price=price_id,
        policies=[each.id for each in made],
        tier=(service_id, tier_id),
    )


async def plan_class(tx: Transaction, stage: Stage, *, after: timedelta, capacity: int, policy: UUID, cost: int) -> str:
    """Add a class of an hour that begins so long from now."""
    there = (stage.now + after).astimezone(zone_named(ZONE)).replace(second=0, microsecond=0)
    values: dict[str, Any] = {
        "venue_id": stage.venue_id,
        "room_id": None,
        "staff_id": None,
        "policy_id": policy,
        "price_id": stage.seat_price,
        "deposit_percent": None,
        "title": "Flow",
        "about": "",
        "category": "",
        "credit_cost": cost,
        "pools": (POOL,),
        "requirements": {},
        "local_date": there.date(),
        "local_start": there.time().replace(tzinfo=None),
        "is_published": True,
        "capacity": capacity,
    }
    await schedule.add_class(tx, tenant_id=stage.tenant_id, values=values, duration_min=60, actor=ACTOR, now=stage.now)
    return f"a class of {capacity}"
