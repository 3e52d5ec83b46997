"""Nobody learns at the door whether somebody has an account: an unknown address costs what a wrong password costs.

The first test counts what is done, which is exact; the second one measures over HTTP, on a machine that does nothing else:
BURSAR_SIGN_IN_TRIES=300 pytest -n0 -s tests/pages/test_sign_in_timing.py
"""

import os
import random
import time
from contextlib import asynccontextmanager
from contextvars import ContextVar
from itertools import chain, count
from statistics import median

import httpx2
import pytest
from test_signing_in import invited, settled
from visitors import ORIGIN, Site, client_of

from bursar.kernel.db import Database
from bursar.kernel.identity import throttle
from bursar.kernel.identity.passwords import Passwords
from bursar.kernel.settings import Settings
from bursar.web.app import create_app
from serving import KEY

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("costly_passwords")]

TRIES = int(os.environ.get("BURSAR_SIGN_IN_TRIES", "0"))
APART_MAX = 0.03 if TRIES >= 300 else 0.35
"""How far the median of a kind may be from that of all, as a share of it: no hash at all would be nearly 1."""
mine: ContextVar[bool] = ContextVar("mine", default=False)
"""True in what the test asks for, and not in what the process does by itself every two seconds."""
WRONG = "seven wrong bottles on a wall"
KINDS = {
    "known address": "ann@example.com",
    "unknown address": "nobody@example.com",
    "deactivated": "bob@example.com",
    "invited": "eve@example.com",
}


@pytest.fixture
async def door(site: Site, database_url: str):
    """A browser at the door of a business that has a user of each kind."""
    await settled(site)
    await settled(site, email="bob@example.com")
    await invited(site.lived.stage, "eve@example.com")
    async with site.lived.stage.db.tenant(site.lived.stage.tenant_id) as tx:
        await tx.execute("update tenant_user set deactivated_at = now() where email_key = 'bob@example.com'")
    app = create_app(
        Settings(
            database_url=database_url,
            secret_key=KEY,
            trusted_proxies="127.0.0.0/8",
            rate_sign_in=100_000,
            rate_general=100_000,
        )
    )
    async with app._lifespan(app.api), client_of(app) as http:
        yield http


async def tried(http: httpx2.AsyncClient, email: str, *, address: str = "192.0.2.1") -> httpx2.Response:
    fields = {"business": "Harbour Yoga", "email": email, "password": WRONG}
    return await http.post("/sign-in", data=fields, headers={"origin": ORIGIN, "x-forwarded-for": address})


async def test_every_refused_sign_in_does_the_same_and_says_the_same(door: httpx2.AsyncClient, monkeypatch):
    done: list[str] = []
    mine.set(True)
    opened, is_right = Database.tenant, Passwords.is_right

    class Told:
        def __init__(self, tx):
            self._tx = tx

        def __getattr__(self, name):
            async def ask(statement, *values):
                if mine.get():
                    done.append(statement)
                return await getattr(self._tx, name)(statement, *values)

            return ask

    @asynccontextmanager
    async def told(self, tenant_id):
        if mine.get():
            done.append("transaction")
        async with opened(self, tenant_id) as tx:
            yield Told(tx)

    async def hashed(self, password, kept):
        done.append("password hashed")
        return await is_right(self, password, kept)

    monkeypatch.setattr(Database, "tenant", told)
    monkeypatch.setattr(Passwords, "is_right", hashed)
    each, answers = {}, {}
    for kind, email in KINDS.items():
        done.clear()
        answer = await tried(door, email)
        each[kind], answers[kind] = list(done), (answer.status_code, answer.text.replace(email, "…"))

    assert all(steps == each["known address"] for steps in each.values()), each
    assert each["known address"].count("password hashed") == 1
    assert len({*answers.values()}) == 1
    assert answers["known address"][0] == 401


@pytest.mark.skipif(not TRIES, reason="set BURSAR_SIGN_IN_TRIES on a machine that does nothing else")
async def test_every_refused_sign_in_takes_the_same_time(door: httpx2.AsyncClient, monkeypatch):
    monkeypatch.setattr(throttle, "ACCOUNT", throttle.Limit(1_000_000, throttle.ACCOUNT.window))
    taken: dict[str, list[int]] = {kind: [] for kind in KINDS}
    order, number = list(KINDS.items()), count()
    for _ in range(TRIES // len(order)):
        random.shuffle(order)
        for kind, email in order:
            at = next(number)
            began = time.perf_counter_ns()
            answer = await tried(door, email, address=f"10.{at >> 16 & 255}.{at >> 8 & 255}.{at & 255}")
            taken[kind].append(time.perf_counter_ns() - began)
            assert answer.status_code == 401

    medians = {kind: median(each) / 1e6 for kind, each in taken.items()}
    of_all = median(chain(*taken.values())) / 1e6
    print({kind: f"{value:.2f} ms" for kind, value in medians.items()}, f"all: {of_all:.2f} ms")  # noqa: T201
    assert all(abs(value - of_all) <= of_all * APART_MAX for value in medians.values()), medians
