"""A studio in New York: classes at six in the evening on credits, and customers who have some."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx2

from api.conftest import Caller, caller_of, running
from bursar.apps.booking import bookings
from bursar.kernel import ids
from bursar.kernel.db import Database
from bursar.kernel.identity.letters import post_letters
from bursar.kernel.jobs import Engine, Kinds, Resources, enqueue
from bursar.kernel.mail import Message
from bursar.kernel.settings import Settings
from bursar.operations.snapshots import reading
from bursar.operations.verify import verify
from draining import bring_forward
from stage import Stage, set_stage

ZONE = "America/New_York"
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday; clocks are set on the Sunday after
POOL = "classes"

_CLASS = """
insert into class_instance (tenant_id, id, venue_id, staff_id, policy_id, price_id, title, credit_cost, pools, local_date, local_start,
  time_zone, starts_at, ends_at, is_published, capacity)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Post:
    """Everything that was mailed."""

    sent: list[Message] = field(default_factory=list)

    async def send(self, message: Message) -> None:
        self.sent.append(message)


@dataclass
class Studio:
    """clock: of the application. venue, staff: of its classes."""

    stage: Stage
    caller: Caller
    clock: Clock
    venue: UUID
    staff: UUID
    people: dict[str, str] = field(default_factory=dict)

    def at(self, moment: datetime) -> None:
        self.clock.now = moment

    async def class_at(
        self,
        starts_at: datetime,
        *,
        capacity: int = 10,
        cost: int = 1,
        title: str = "Flow",
        pools: tuple[str, ...] = (POOL,),
        price: str | None = None,
        policy: UUID | None = None,
        is_published: bool = True,
    ) -> str:
        """Add a class of an hour and return its public id."""
        class_id, there = ids.new(), starts_at.astimezone(ZoneInfo(ZONE))
        async with self.stage.db.tenant(self.stage.tenant_id) as tx:
            await tx.execute(
                _CLASS,
                *(self.stage.tenant_id, class_id, self.venue, self.staff, policy),
                *(self.stage.prices[price] if price else None, title, cost, list(pools), there.date()),
                *(
                    there.time().replace(tzinfo=None),
                    ZONE,
                    starts_at,
                    starts_at + timedelta(hours=1),
                    is_published,
                    capacity,
                ),
            )
        return ids.show(ids.CLASS, class_id)

    async def policy(self, **terms: Any) -> UUID:
        """Add a policy and return it."""
        added = await self.caller.post("/v1/booking-policies", {"name": str(ids.new()), "terms": terms})
        assert added.status_code == 201, added.text
        return ids.parse(ids.BOOKING_POLICY, added.json()["id"])

    async def person(self, name: str, *, owns: int = 0, expires_at: datetime | None = None, pool: str = POOL) -> str:
        """Return a customer, added if there is none of this name; with so many credits more than before."""
        if name not in self.people:
            told = {"email": f"{name}@example.org", "name": name.title()}
            added = await self.caller.post("/v1/customers", told)
            assert added.status_code in (200, 201), added.text
            self.people[name] = added.json()["id"]
        if owns:
            given: dict[str, Any] = {"customer": self.people[name], "amount": owns, "reason": "test", "pool": pool}
            if expires_at:
                given["expires_at"] = expires_at.isoformat()
            added = await self.caller.post("/v1/credit-adjustments", given)
            assert added.status_code == 201, added.text
        return self.people[name]

    async def book(self, a_class: str, customer: str, *, once: str | None = None, **more: Any) -> httpx2.Response:
        return await self.caller.post("/v1/bookings", {"class": a_class, "customer": customer, **more}, once=once)

    async def booked(self, a_class: str, customer: str, **more: Any) -> dict[str, Any]:
        """Book and return the booking."""
        return told(await self.book(a_class, customer, **more))

    async def cancel(self, booking: dict[str, Any], **more: Any) -> httpx2.Response:
        return await self.caller.post(f"/v1/bookings/{booking['id']}/cancellations", more)

    async def wait(self, a_class: str, customer: str, **more: Any) -> httpx2.Response:
        return await self.caller.post("/v1/waitlist-entries", {"class": a_class, "customer": customer, **more})

    async def balance(self, customer: str, pool: str = POOL) -> int:
        answer = await self.caller.get(f"/v1/customers/{customer}/credits")
        return sum(each["balance"] for each in answer.json()["pools"] if each["pool"] == pool)

    async def lots(self, customer: str) -> list[tuple[int, str | None]]:
        """Return what remains of each lot and when it expires, the oldest first."""
        answer = await self.caller.get(f"/v1/customers/{customer}/credits")
        lots = sorted(answer.json()["lots"], key=lambda lot: lot["id"])
        return [(lot["remaining"], lot["expires_at"]) for lot in lots]

    async def seats(self, a_class: str) -> tuple[int, int, int]:
        """Return how many seats are held and booked, and how many wait."""
        row = await self.stage.row(
            "select held, booked, waiting from class_instance where id = $1", ids.parse(ids.CLASS, a_class)
        )
        return row["held"], row["booked"], row["waiting"]

    async def booking(self, booking: dict[str, Any]) -> dict[str, Any]:
        return told(await self.caller.get(f"/v1/bookings/{booking['id']}"), 200)

    async def of(self, customer: str, a_class: str) -> list[str]:
        """Return the states of a customer's bookings of a class, the newest first."""
        found = await self.caller.data("/v1/bookings", customer=customer, **{"class": a_class})
        return [each["status"] for each in found]

    async def letters(self) -> list[str]:
        """Return the kinds of letters that were put down, in their order."""
        return [row["kind"] for row in await self.stage.rows("select kind from mail_message order by id")]

    async def work(self) -> None:
        """Do what is due by the studio's clock."""
        await bring_forward(self.stage)
        resources = Resources(self.stage.db, Settings(database_url=self.stage.url), now=self.clock)
        await Engine(resources, Kinds(bookings.KINDS)).drain()

    async def run(self, kind: str, key: str) -> None:
        """Do one job now."""
        async with self.stage.db.tenant(self.stage.tenant_id) as tx:
            await enqueue(tx, tenant_id=self.stage.tenant_id, kind=kind, key=key)
        await self.work()

    async def mails(self) -> list[Message]:
        """Send the letters that are due and return them, in their order."""
        post = Post()
        composers = bookings.booking_letters()
        await post_letters(
            self.stage.db, post, base_url="https://pay.example.org", clock=self.clock, composers=composers
        )
        return post.sent

    async def broken(self) -> dict[str, list[dict[str, Any]]]:
        """Return the invariants that do not hold, with the rows that break them."""
        return await broken(self.stage)


async def broken(stage: Stage) -> dict[str, list[dict[str, Any]]]:
    async with reading(stage.url) as connection:
        found = await verify(connection, stage.tenant_id, standing_kinds=["feature", "licence", "quota"])
    return {check.name: check.offending for check in found.invariants if not check.ok}


def told(answer: httpx2.Response, status: int = 201) -> dict[str, Any]:
    """Return the body of an answer that is as expected."""
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    return body


def refused(answer: httpx2.Response, code: str, status: int = 409) -> dict[str, Any]:
    """Return the body of a refusal that is as expected."""
    assert (answer.status_code, answer.json().get("code")) == (status, code), answer.text
    body: dict[str, Any] = answer.json()
    return body


@asynccontextmanager
async def studio_of(db: Database, url: str, http: httpx2.AsyncClient, clock: Clock) -> AsyncIterator[Studio]:
    """Open a studio in an application that runs."""
    stage = await set_stage(db, url)
    venue, staff = ids.new(), ids.new()
    async with db.tenant(stage.tenant_id) as tx:
        await tx.execute(
            "insert into venue (tenant_id, id, name, time_zone) values ($1, $2, 'Pier 4', $3)",
            stage.tenant_id,
            venue,
            ZONE,
        )
        await tx.execute("insert into staff (tenant_id, id, name) values ($1, $2, 'Mia')", stage.tenant_id, staff)
    yield Studio(stage, await caller_of(stage, http), clock, venue, staff)


@asynccontextmanager
async def studio(db: Database, url: str) -> AsyncIterator[Studio]:
    """Open a studio and an application whose clock it holds."""
    clock = Clock()
    async with running(url, clock=clock) as (_, http), studio_of(db, url, http, clock) as made:
        yield made
