"""Two businesses side by side, each with a key, a catalogue and a history, behind one running application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx2
import pytest

from bursar.kernel import ids, tenancy
from bursar.kernel.clock import utc_now
from bursar.kernel.db import Database
from bursar.kernel.settings import Settings
from bursar.web.app import Application, create_app
from databases import opened
from serving import KEY
from stage import Stage, charge, event, intent, invoice, refund, session, set_stage, subscription


@dataclass
class Caller:
    """A tenant with its key: `get` and `post` speak as it."""

    stage: Stage
    key: str
    http: httpx2.AsyncClient

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}

    async def get(self, path: str, **params: Any) -> httpx2.Response:
        return await self.http.get(path, params=params, headers=self.headers)

    async def post(self, path: str, body: Any = None, *, once: str | None = None, **more: Any) -> httpx2.Response:
        """once: the Idempotency-Key."""
        headers = self.headers if once is None else self.headers | {"idempotency-key": once}
        return await self.http.post(path, json=body, headers=headers, **more)

    async def send(self, method: str, path: str, body: Any = None, **params: Any) -> httpx2.Response:
        return await self.http.request(method, path, json=body, params=params, headers=self.headers)

    async def data(self, path: str, **params: Any) -> list[dict[str, Any]]:
        answer = await self.get(path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    async def one(self, path: str, **params: Any) -> dict[str, Any]:
        rows = await self.data(path, **params)
        assert len(rows) == 1, rows
        return rows[0]


@dataclass
class World:
    """Two tenants and the application between them. Nobody may see the other."""

    app: Application
    http: httpx2.AsyncClient
    mine: Caller
    theirs: Caller


@asynccontextmanager
async def running(
    url: str, *, clock: Any = utc_now, **settings: Any
) -> AsyncIterator[tuple[Application, httpx2.AsyncClient]]:
    """Run the application in the test's own loop. Nobody works beside it, so that it hardly waits for answers of gateways."""
    own = {"public_url": "https://pay.example.org", "pool_size": 20, "outcome_wait_s": 0.05} | settings
    app = create_app(Settings(database_url=url, secret_key=KEY, **own), clock=clock)
    async with app._lifespan(app.api):
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url="http://bursar.test") as http:
            yield app, http


async def caller_of(stage: Stage, http: httpx2.AsyncClient) -> Caller:
    async with stage.db.tenant(stage.tenant_id) as tx:
        key = await tenancy.create_key(tx, tenant_id=stage.tenant_id, name="test", actor="operator")
    return Caller(stage, key, http)


async def lived(stage: Stage) -> None:
    """A little of everything: a paid pack partly refunded, a membership, a course, a dispute, money that names nothing."""
    lines = {"data": [{"id": "li_9", "price": {"id": "price_course"}, "quantity": 1, "amount_total": 9900}]}
    await stage.tell(
        event("checkout.session.completed", session()),
        event("charge.succeeded", charge()),
        event("refund.created", refund()),
        event("invoice.paid", invoice("2")),
        event("customer.subscription.created", subscription()),
        event(
            "checkout.session.completed",
            session("9", customer="cus_bob", amount_total=9900, metadata={"bursar_price": "course"}, line_items=lines),
        ),
        event("payment_intent.succeeded", intent("9", customer="cus_bob", amount=9900, amount_received=9900)),
        event(
            "charge.dispute.created",
            {
                "id": "dp_9",
                "object": "dispute",
                "status": "needs_response",
                "amount": 9900,
                "currency": "eur",
                "charge": "ch_9",
                "payment_intent": "pi_9",
                "created": 1_760_000_200,
                "evidence_details": {"due_by": 1_761_000_000},
            },
        ),
        event(
            "payment_intent.succeeded",
            intent("7", latest_charge="ch_7", customer="cus_eve", amount=777, amount_received=777),
        ),
        event("product.created", {"id": "prod_x", "object": "product"}),
    )
    await stage.deliver(event("charge.succeeded", {"id": "ch_bad", "object": "charge"}))
    await stage.apply(retries_max=1)


@asynccontextmanager
async def two_businesses(db: Database, url: str) -> AsyncIterator[World]:
    async with running(url) as (app, http):
        mine = await caller_of(await set_stage(db, url, name="Mine"), http)
        theirs = await caller_of(await set_stage(db, url, name="Theirs"), http)
        yield World(app, http, mine, theirs)


async def lived_by_both(world: World) -> World:
    await lived(world.mine.stage)
    await lived(world.theirs.stage)
    return world


@pytest.fixture
async def world(db: Database, database_url: str) -> AsyncIterator[World]:
    """Two empty businesses with a catalogue each."""
    async with two_businesses(db, database_url) as world:
        yield world


@pytest.fixture
async def lived_world(world: World) -> World:
    """Two businesses with the same history: the same gateway ids on both sides."""
    return await lived_by_both(world)


@pytest.fixture(scope="module")
async def shared_world(shared_database_url: str) -> AsyncIterator[World]:
    """The same for all tests of a file that change nothing which another of them looks at."""
    async with opened(shared_database_url) as db, two_businesses(db, shared_database_url) as world:
        yield await lived_by_both(world)


def public(prefix: str, value: Any) -> str:
    return ids.show(prefix, value)


@pytest.fixture
def locked(admin_url: str) -> Any:
    """Hold a table, so that whoever writes to it waits inside its transaction."""

    @asynccontextmanager
    async def hold(table: str) -> AsyncIterator[None]:
        connection = await asyncpg.connect(admin_url)
        try:
            async with connection.transaction():
                await connection.execute(f"lock table {table} in share mode")
                yield
        finally:
            await connection.close()

    return hold
