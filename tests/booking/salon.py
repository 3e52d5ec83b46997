"""A business that gives appointments: a venue in New York, two masseurs, and what they give."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from api.conftest import Caller, caller_of, running
from bursar.kernel import ids
from bursar.kernel.db import Database
from bursar.web.app import Application
from serving import give_key
from stage import Stage, add_price, set_stage

ZONE = "America/New_York"
SEAT = [{"kind": "seat"}]
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)  # a Monday; clocks are set on the Sunday after
MONDAY = "2026-03-09"


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Salon:
    """names: public ids of what there is. clock: of the application."""

    stage: Stage
    caller: Caller
    app: Application
    clock: Clock
    names: dict[str, str] = field(default_factory=dict)

    def later(self, **by: float) -> None:
        self.clock.now += timedelta(**by)

    async def post(self, path: str, body: dict[str, Any], status: int = 201) -> dict[str, Any]:
        answer = await self.caller.post(path, body)
        assert answer.status_code == status, answer.text
        told: dict[str, Any] = answer.json()
        return told

    async def free(self, day: str = MONDAY, *, days: int = 1, **more: Any) -> list[str]:
        """Return the local starts that are offered on a day, each once for everybody who is free."""
        found = await self.slots(day, days=days, **more)
        return [slot["local"][11:16] for slot in found for _ in slot["staff"]]

    async def slots(self, day: str = MONDAY, *, days: int = 1, **more: Any) -> list[dict[str, Any]]:
        begin = datetime.fromisoformat(f"{day}T05:00:00+00:00")
        asked = {"service": self.names["massage"], "tier": self.names["hour"], "from": begin.isoformat()}
        until = {"to": (begin + timedelta(days=days)).isoformat()}
        return await self.caller.data("/v1/availability", **(asked | until | more))

    async def book(self, at: str, *, status: int = 201, **more: Any) -> dict[str, Any]:
        """Ask for an appointment. at: UTC."""
        body = {
            "service": self.names["massage"],
            "tier": self.names["free"],
            "customer": self.names["ann"],
            "starts_at": at,
        }
        return await self.post("/v1/appointments", body | more, status)


@asynccontextmanager
async def salon(db: Database, url: str, *, now: datetime = NOW) -> AsyncIterator[Salon]:
    """Open a business: Mia works on Mondays 9 to 12, Noa 10 to 12; an hour's massage costs 80.00 with 20.00 ahead."""
    stage, clock = await set_stage(db, url), Clock(now)
    await give_key(stage, "sk_test_salon")
    await add_price(stage, "massage", 8000, SEAT, refs=[])
    async with running(url, clock=clock) as (app, http):
        made = Salon(stage, await caller_of(stage, http), app, clock)
        async with db.tenant(stage.tenant_id) as tx:
            for name, prefix, statement in (
                (
                    "venue",
                    ids.VENUE,
                    f"insert into venue (tenant_id, id, name, time_zone) values ($1, $2, 'Pier', '{ZONE}')",
                ),
                ("mia", ids.STAFF, "insert into staff (tenant_id, id, name) values ($1, $2, 'Mia')"),
                ("noa", ids.STAFF, "insert into staff (tenant_id, id, name) values ($1, $2, 'Noa')"),
            ):
                row_id = ids.new()
                await tx.execute(statement, stage.tenant_id, row_id)
                made.names[name] = ids.show(prefix, row_id)
        await _offer(made)
        yield made


async def _offer(made: Salon) -> None:
    names = made.names
    for who in ("ann", "bob", "cal"):
        added = await made.caller.post("/v1/customers", {"email": f"{who}@example.org", "name": who.title()})
        assert added.status_code in (200, 201), added.text
        names[who] = added.json()["id"]
    names["massage"] = (await made.post("/v1/services", {"name": "Massage", "slot_min": 30}))["id"]
    path = f"/v1/services/{names['massage']}"
    for name, tier in (
        ("hour", {"name": "One hour", "duration_min": 60, "price": "massage", "deposit_percent": 25}),
        ("full", {"name": "Paid ahead", "duration_min": 60, "price": "massage"}),
        ("free", {"name": "Trial", "duration_min": 60, "after_min": 30}),
    ):
        names[name] = (await made.post(f"{path}/tiers", tier))["tiers"][-1]["id"]
    for who, begin in (("mia", "09:00"), ("noa", "10:00")):
        hours = {"staff": names[who], "venue": names["venue"], "weekday": 1, "from": begin, "until": "12:00"}
        await made.post("/v1/staff-hours", hours)
        answer = await made.caller.send("PUT", f"{path}/staff/{names[who]}", {"tiers": []})
        assert answer.status_code == 200, answer.text
