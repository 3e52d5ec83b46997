"""The pages' fixtures: a running application and its visitors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from visitors import Site, Visitor, client_of, key_of, live

from bursar.kernel import ids, tenancy
from bursar.kernel.db import Database
from bursar.kernel.settings import Settings
from bursar.web.app import create_app
from databases import opened
from serving import KEY
from stage import Stage, set_stage


@asynccontextmanager
async def visited(db: Database, url: str) -> AsyncIterator[Site]:
    app = create_app(Settings(database_url=url, secret_key=KEY, pool_size=10, rate_general=10_000))
    async with app._lifespan(app.api):
        clients = [client_of(app) for _ in range(3)]
        lived = await set_stage(db, url, name="Harbour Yoga")
        empty = Stage(db, url, (await tenancy.create_tenant(db, name="Nothing yet"))[0], ids.new())
        visitors = [
            Visitor(stage, await key_of(stage), client) for stage, client in zip((lived, empty), clients, strict=False)
        ]
        for visitor in visitors:
            assert (await visitor.sign_in()).status_code == 303
        yield Site(app, *visitors, clients[2])
        for client in clients:
            await client.aclose()


@pytest.fixture
async def site(db: Database, database_url: str) -> AsyncIterator[Site]:
    """A business with a history, a second one with nothing, and somebody who has no key."""
    async with visited(db, database_url) as site:
        yield site


@pytest.fixture(scope="module")
async def shared_site(shared_database_url: str) -> AsyncIterator[Site]:
    """The same for all tests of a file that change nothing which another of them looks at; the history is there."""
    async with opened(shared_database_url) as db, visited(db, shared_database_url) as site:
        await live(site.lived.stage)
        yield site


@pytest.fixture
def shared(shared_site: Site) -> Visitor:
    """The business of the shared site."""
    return shared_site.lived


@pytest.fixture
async def lived(site: Site) -> Visitor:
    """The business, after a little of everything happened to it."""
    await live(site.lived.stage)
    return site.lived
