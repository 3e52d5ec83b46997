"""Sessions as rows: when they end, how often they are noted as seen, and codes and limits under rivalry."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from argon2 import PasswordHasher
from fastapi import APIRouter

from bursar.kernel.access import OPERATOR
from bursar.kernel.identity import second_factor, sessions, throttle, tokens, users
from bursar.kernel.identity.passwords import Passwords
from bursar.kernel.identity.people import Device
from bursar.kernel.identity.second_factor import CodeWrong
from bursar.kernel.identity.signing_in import SignInRefused, sign_in
from bursar.kernel.identity.throttle import SignInLimited
from bursar.kernel.seal import Seal
from bursar.web.pages.routing import PageRoute
from serving import KEY
from stage import Stage, set_stage

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOME, CAFE = Device.of("Browser", "192.0.2.1"), Device.of("Browser", "198.51.100.9")
MINUTE = timedelta(minutes=1)
PASSWORD = "nine green bottles on a wall"


@pytest.fixture
async def stage(db, database_url) -> Stage:
    stage = await set_stage(db, database_url)
    async with db.tenant(stage.tenant_id) as tx:
        await users.invite(
            tx, tenant_id=stage.tenant_id, email="ann@example.com", name="Ann", roles=["owner"], by=OPERATOR, now=NOW
        )
    await stage.rows("update tenant_user set password_hash = $1 returning id", await Passwords().hashed(PASSWORD))
    return stage


async def opened(stage: Stage, *, is_pending: bool = False) -> tokens.Token:
    user_id = await stage.value("select id from tenant_user")
    async with stage.db.tenant(stage.tenant_id) as tx:
        text = await sessions.open_session(
            tx,
            tenant_id=stage.tenant_id,
            kind="user",
            who_id=user_id,
            device=HOME,
            now=NOW,
            is_pending=is_pending,
        )
    found = tokens.read(text)
    assert found
    return found


async def seen(stage: Stage, token: tokens.Token, at: datetime) -> sessions.Session | None:
    async with stage.db.tenant(stage.tenant_id) as tx:
        return await sessions.session(tx, token, now=at)


async def test_a_session_nobody_uses_ends_after_two_hours_and_a_busy_one_after_twelve(stage):
    idle, busy = await opened(stage), await opened(stage)

    for hour in range(1, 12):
        assert await seen(stage, busy, NOW + timedelta(hours=hour)), hour
    assert await seen(stage, busy, NOW + timedelta(hours=12)) is None
    assert await seen(stage, idle, NOW + timedelta(hours=2)) is None
    assert await seen(stage, idle, NOW + timedelta(hours=2) - MINUTE) is not None


async def test_use_is_noted_once_a_minute_at_most(stage):
    token = await opened(stage)

    for seconds, noted in ((30, 0), (59, 0), (60, 60), (90, 60), (119, 60), (120, 120)):
        await seen(stage, token, NOW + timedelta(seconds=seconds))
        at = await stage.value("select last_seen_at from session")
        assert at == NOW + timedelta(seconds=noted), seconds


async def test_another_s_secret_opens_nothing(stage):
    token, other = await opened(stage), await opened(stage)

    mixed = tokens.Token(token.tenant_id, token.id, other.sha256)

    assert await seen(stage, mixed, NOW) is None


async def test_sessions_that_ended_long_ago_are_forgotten(stage):
    await opened(stage)

    async with stage.db.tenant(stage.tenant_id) as tx:
        await sessions.tidy(tx, tenant_id=stage.tenant_id, now=NOW + timedelta(days=90))
        assert await tx.fetchval("select count(*) from session") == 1
        await sessions.tidy(tx, tenant_id=stage.tenant_id, now=NOW + timedelta(days=91))
        assert await tx.fetchval("select count(*) from session") == 0


async def test_of_many_who_use_a_recovery_code_at_once_one_gets_in(stage):
    user_id = await stage.value("select id from tenant_user")
    async with stage.db.tenant(stage.tenant_id) as tx:
        codes = await second_factor.new_codes(tx, tenant_id=stage.tenant_id, user_id=user_id, now=NOW)
    waiting = [await seen(stage, await opened(stage, is_pending=True), NOW) for _ in range(8)]

    outcomes = await asyncio.gather(
        *(
            second_factor.admit(stage.db, Seal(KEY), session=one, code=codes[0], device=HOME, now=NOW)
            for one in waiting
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(one, str) for one in outcomes) == 1
    assert sum(isinstance(one, CodeWrong) for one in outcomes) == 7
    assert await stage.value("select count(*) from session where not is_pending") == 1


async def test_parallel_guesses_are_counted_one_by_one(stage):
    outcomes = await asyncio.gather(*(attempt(stage, CAFE, "wrong") for _ in range(15)), return_exceptions=True)

    assert sum(isinstance(one, SignInRefused) for one in outcomes) == throttle.PAIR.attempts
    assert sum(isinstance(one, SignInLimited) for one in outcomes) == 15 - throttle.PAIR.attempts


async def test_addresses_of_one_ipv6_subscriber_are_counted_as_one(stage):
    outcomes = [await _refusal(stage, Device.of("", f"2001:db8:1:2::{last:x}")) for last in range(1, 13)]

    assert outcomes == [SignInRefused] * throttle.PAIR.attempts + [SignInLimited] * 2
    assert await _refusal(stage, Device.of("", "2001:db8:1:3::1")) is SignInRefused


async def _refusal(stage: Stage, device: Device) -> type[Exception]:
    with pytest.raises((SignInRefused, SignInLimited)) as refused:
        await attempt(stage, device, "wrong")
    return refused.type


async def attempt(stage: Stage, device: Device, password: str, *, at: datetime = NOW):
    return await sign_in(
        stage.db,
        Passwords(),
        tenant_id=stage.tenant_id,
        email="ANN@example.com",
        password=password,
        device=device,
        now=at,
    )


async def test_nobody_is_locked_out_by_guesses_from_elsewhere(stage, monkeypatch):
    """The account's own limit is reached; where the owner signed in from before she still gets in, strangers do not."""
    monkeypatch.setattr(throttle, "ACCOUNT", throttle.Limit(3, timedelta(hours=1)))
    await attempt(stage, HOME, PASSWORD)
    for last in range(4):
        with pytest.raises((SignInRefused, SignInLimited)):
            await attempt(stage, Device.of("", f"203.0.113.{last}"), "wrong")

    with pytest.raises(SignInLimited):
        await attempt(stage, CAFE, PASSWORD)
    assert (await attempt(stage, HOME, PASSWORD)).user_id
    assert (await attempt(stage, CAFE, PASSWORD, at=NOW + timedelta(hours=1, seconds=1))).user_id


async def test_an_old_hash_is_renewed_when_its_password_is_at_hand(stage, costly_passwords):
    old = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    await stage.rows("update tenant_user set password_hash = $1 returning id", old)

    await attempt(stage, HOME, PASSWORD)

    kept = await stage.value("select password_hash from tenant_user")
    assert "m=19456,t=2,p=1" in kept
    assert (await attempt(stage, HOME, PASSWORD)).user_id


def test_a_page_that_does_not_say_who_may_see_it_cannot_be_made():
    router = APIRouter(route_class=PageRoute)

    async def page() -> None: ...

    with pytest.raises(TypeError, match="does not declare what it needs"):
        router.get("/nobody-said")(page)
