"""A studio with classes to come, and visitors of its own pages: what tests of them begin with."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx2

from api.conftest import Caller, caller_of, running
from bursar.apps.booking import bookings, people
from bursar.bootstrap import ASKERS, composers
from bursar.kernel import ids
from bursar.kernel.clock import utc_now
from bursar.kernel.db import Database
from bursar.kernel.identity import letters
from bursar.kernel.jobs import Engine, Kinds, Resources
from bursar.kernel.mail import Message
from bursar.kernel.settings import Settings
from bursar.money import calls
from bursar.money.fulfilment.spending import adjust
from bursar.web.app import Application
from sandboxing import KEY as GATEWAY_KEY
from sandboxing import Sandbox
from serving import KEY, give_key
from stage import Stage, add_price, set_stage

ORIGIN = "https://pay.example.org"
ZONE = "Europe/Amsterdam"

_VENUE = "insert into venue (tenant_id, id, name, time_zone, address) values ($1, $2, $3, $4, $5)"
_ROOM = "insert into room (tenant_id, id, venue_id, name, capacity) values ($1, $2, $3, 'Hall', 40)"
_STAFF = "insert into staff (tenant_id, id, name, about) values ($1, $2, $3, 'Teaches since 2009.')"
_CLASS = """
insert into class_instance (tenant_id, id, venue_id, room_id, staff_id, price_id, title, about, credit_cost, pools, local_date, local_start,
  time_zone, starts_at, ends_at, is_published, capacity, status)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
"""


@dataclass
class Post:
    """Everything that was mailed."""

    sent: list[Message] = field(default_factory=list)

    async def send(self, message: Message) -> None:
        self.sent.append(message)


@dataclass
class Studio:
    """A studio, its neighbour, and a browser of nobody."""

    mine: Caller
    theirs: Caller
    app: Application
    browser: httpx2.AsyncClient
    venue: UUID
    room: UUID
    staff: UUID
    sandbox: Sandbox | None = None
    post: Post = field(default_factory=Post)

    @property
    def stage(self) -> Stage:
        return self.mine.stage

    @property
    def base(self) -> str:
        return f"/b/{ids.show(ids.TENANT, self.stage.tenant_id)}"

    async def add_class(
        self,
        title: str = "Morning Flow",
        *,
        days: int = 2,
        at: time = time(9, 0),
        minutes: int = 60,
        capacity: int = 12,
        cost: int = 1,
        price: str | None = None,
        is_published: bool = True,
        status: str = "scheduled",
        about: str = "",
        starts_at: datetime | None = None,
    ) -> str:
        """Add a class and return its public id. days: from today."""
        day = (starts_at or datetime.now(UTC)).astimezone(ZoneInfo(ZONE)).date() + timedelta(
            days=0 if starts_at else days
        )
        begins = starts_at or datetime.combine(day, at, ZoneInfo(ZONE)).astimezone(UTC)
        class_id = ids.new()
        async with self.stage.db.tenant(self.stage.tenant_id) as tx:
            await tx.execute(
                _CLASS,
                self.stage.tenant_id,
                class_id,
                self.venue,
                self.room,
                self.staff,
                self.stage.prices[price] if price else None,
                title,
                about,
                cost,
                ["classes"] if cost else [],
                day,
                at,
                ZONE,
                begins,
                begins + timedelta(minutes=minutes),
                is_published,
                capacity,
                status,
            )
        return ids.show(ids.CLASS, class_id)

    async def give_credits(self, email: str, amount: int = 5, *, ends_in_days: int = 90) -> UUID:
        """Give whoever has the address credits; return the customer."""
        now = utc_now()
        async with self.stage.db.tenant(self.stage.tenant_id) as tx:
            customer = await people.customer_for(tx, tenant_id=self.stage.tenant_id, email=email, name="Zoe Zander")
            await adjust(
                tx,
                tenant_id=self.stage.tenant_id,
                customer_id=customer,
                pool="classes",
                amount=amount,
                expires_at=now + timedelta(days=ends_in_days),
                reason="gift",
                actor="operator",
                now=now,
            )
        return customer

    async def mailed(self) -> list[Message]:
        """Send what is due and return everything that was sent."""
        written = composers(Settings(database_url=self.stage.url, secret_key=KEY, public_url=ORIGIN))
        await letters.post_letters(self.stage.db, self.post, base_url=ORIGIN, clock=utc_now, composers=written)
        return self.post.sent

    async def get(self, path: str, **params: Any) -> httpx2.Response:
        return await self.browser.get(path, params=params or None, headers={"accept": "text/html"})

    async def page(self, path: str, **params: Any) -> str:
        answer = await self.get(path, **params)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[-2000:])
        return answer.text

    async def send(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> httpx2.Response:
        return await self.browser.post(path, data=fields or {}, headers={"origin": ORIGIN, **headers})

    async def fields(self, path: str, action: str | None = None) -> dict[str, str]:
        """Return the hidden fields of a page's form, or of the one that goes to `action`."""
        text = await self.page(path)
        forms = re.findall(r"<form.*?</form>", text, re.DOTALL)
        wanted = [form for form in forms if action is None or f'action="{action}"' in form]
        assert wanted, (path, action, text[-3000:])
        return dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', wanted[0]))

    async def sign_in(self, email: str) -> None:
        """Sign the browser in by the code that is mailed."""
        asked = await self.send(f"{self.base}/sign-in", {"email": email, "next": f"{self.base}/account"})
        assert asked.status_code == 303, asked.text
        mail = next(mail for mail in reversed(await self.mailed()) if "is your code" in mail.subject)
        code = re.search(r"\n    (\d{3} \d{3})\n", mail.text)[1]
        entered = await self.send(asked.headers["location"], {"code": code})
        assert entered.status_code == 303, entered.text

    async def work(self) -> None:
        """Do the jobs that are due."""
        settings = Settings(database_url=self.stage.url, secret_key=KEY)
        kinds = Kinds([calls.execution(self.app.api.state.outside, ASKERS), *bookings.KINDS])
        await Engine(Resources(self.stage.db, settings), kinds).drain()

    async def hear(self) -> None:
        """Deliver all that the gateway has to tell, and apply it."""
        assert self.sandbox
        page = await self.sandbox.done("GET", "/v1/events", {"limit": 100})
        if page["data"]:
            await self.stage.tell(*reversed(page["data"]))


@asynccontextmanager
async def studio_at(db: Database, url: str, *, sandbox: Sandbox | None = None) -> AsyncIterator[Studio]:
    async with running(url, outcome_wait_s=5, rate_checkout=1000, rate_stranger=10_000) as (app, http):
        stage = await set_stage(db, url, gateway="sandbox" if sandbox else "stripe", name="Harbour Yoga")
        await add_price(stage, "seat", 1500, [{"kind": "seat"}], refs=[])
        if sandbox:
            await give_key(stage, GATEWAY_KEY, base_url=sandbox.url)
        theirs = await caller_of(await set_stage(db, url, name="Theirs"), http)
        venue, room, staff = ids.new(), ids.new(), ids.new()
        async with db.tenant(stage.tenant_id) as tx:
            await tx.execute(_VENUE, stage.tenant_id, venue, "Harbour Hall", ZONE, "Pier 4, Amsterdam")
            await tx.execute(_ROOM, stage.tenant_id, room, venue)
            await tx.execute(_STAFF, stage.tenant_id, staff, "Ines")
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as browser:
            yield Studio(await caller_of(stage, http), theirs, app, browser, venue, room, staff, sandbox)
