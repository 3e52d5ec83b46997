"""A studio with a class, whose rules are asked: rows are written as they are, so that only the rules are looked at."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from api.conftest import Caller, World, caller_of, running
from bursar.kernel import ids
from bursar.operations.invariants.delivered import DELIVERED
from bursar.operations.verify import verify
from databases import opened
from stage import Stage, set_stage

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
STARTS = datetime(2026, 3, 10, 17, tzinfo=UTC)

_VENUE = "insert into venue (tenant_id, id, name, time_zone) values ($1, $2, 'Harbour', 'Europe/Berlin')"
_CUSTOMER = """insert into customer (tenant_id, id, gateway_account_id, gateway_ref, email, created_at)
values ($1, $2, $3, $4, $4 || '@example.org', now())"""
_CLASS = """
insert into class_instance (tenant_id, id, venue_id, title, credit_cost, pools, requirements, local_date, local_start, time_zone, starts_at,
  ends_at, status, is_published, capacity, booked)
values ($1, $2, $3, 'Flow', $4, $5, $6::text::jsonb, $7::timestamptz::date, '18:00', 'Europe/Berlin', $7, $8, $9, $10, $11, $12)
"""
_BOOKING = """
insert into booking (tenant_id, id, number, customer_id, kind, class_id, venue_id, status, starts_at, ends_at, local_date, source,
  paid_with, credit_cost, terms, snapshot, cancel_by, booked_by)
values ($1, $2, $3, $4, 'class', $5, $6, $7, $8, $9, $10, 'online', $11, $12, '{}', '{}', $8, 'operator')
"""
_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ3789"


@dataclass
class Studio:
    """mine: whose the studio is. `a_class`, `booked`: write rows as they are; times are days from `NOW` where they are numbers."""

    mine: Caller
    theirs: Caller
    venue: UUID
    count: int = 0

    @property
    def stage(self) -> Stage:
        return self.mine.stage

    async def write(self, statement: str, *values: Any) -> None:
        async with self.stage.db.tenant(self.stage.tenant_id) as tx:
            await tx.execute(statement, self.stage.tenant_id, *values)

    async def customer(self) -> UUID:
        self.count += 1
        customer = ids.new()
        await self.write(_CUSTOMER, customer, self.stage.account_id, f"customer{self.count}")
        return customer

    async def a_class(
        self,
        at: datetime = STARTS,
        *,
        minutes: int = 60,
        cost: int = 0,
        pools: tuple[str, ...] = (),
        requirements: str = "{}",
        status: str = "scheduled",
        is_published: bool = True,
        capacity: int = 10,
        booked: int = 0,
    ) -> UUID:
        made = ids.new()
        ends_at = at + timedelta(minutes=minutes)
        await self.write(
            _CLASS,
            made,
            self.venue,
            cost,
            list(pools),
            requirements,
            at,
            ends_at,
            status,
            is_published,
            capacity,
            booked,
        )
        return made

    async def booked(
        self,
        customer: UUID,
        class_id: UUID,
        *,
        at: datetime = STARTS,
        minutes: int = 60,
        status: str = "booked",
        paid_with: str = "nothing",
        cost: int = 0,
        day: date | None = None,
    ) -> UUID:
        self.count += 1
        number, rest = "", self.count
        for _ in range(7):
            number, rest = number + _ALPHABET[rest % 28], rest // 28
        made, ends_at = ids.new(), at + timedelta(minutes=minutes)
        await self.write(
            _BOOKING,
            made,
            number,
            customer,
            class_id,
            self.venue,
            status,
            at,
            ends_at,
            day or at.date(),
            paid_with,
            cost,
        )
        return made

    async def codes(self, class_id: UUID, customer: UUID, **asked: Any) -> list[str]:
        """The codes of what is in the way, as the API tells them."""
        return [each["code"] for each in (await self.asked(class_id, customer, **asked))["failures"]]

    async def asked(self, class_id: UUID, customer: UUID, **asked: Any) -> dict[str, Any]:
        shown = ids.show(ids.CUSTOMER, customer)
        path = f"/v1/classes/{ids.show(ids.CLASS, class_id)}/bookability"
        answer = await self.mine.get(path, customer=shown, **asked)
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert found["is_bookable"] is (not found["failures"])
        return found

    async def broken(self) -> dict[str, list[dict[str, Any]]]:
        """What `bursar verify` finds of credits, by invariant. (Bookings are written here without their seats.)"""
        connection = await asyncpg.connect(self.stage.url)
        try:
            found = await verify(
                connection, self.stage.tenant_id, standing_kinds=("feature", "quota", "licence"), invariants=DELIVERED
            )
        finally:
            await connection.close()
        return {finding.name: finding.offending for finding in found.invariants if not finding.ok}

    async def rule(self, rule: str, *, is_on: bool = True, **parameters: Any) -> None:
        answer = await self.mine.send("PUT", f"/v1/booking-rules/{rule}", {"is_on": is_on, "parameters": parameters})
        assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module")
async def studio(shared_database_url: str) -> AsyncIterator[Studio]:
    """One studio, and another business, for all tests of a file; the clock stands at `NOW`."""
    async with opened(shared_database_url) as db, running(shared_database_url, clock=lambda: NOW) as (app, http):
        mine = await caller_of(await set_stage(db, shared_database_url, name="Mine"), http)
        theirs = await caller_of(await set_stage(db, shared_database_url, name="Theirs"), http)
        assert World(app, http, mine, theirs)
        made = Studio(mine, theirs, ids.new())
        await made.write(_VENUE, made.venue)
        yield made
