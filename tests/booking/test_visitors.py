"""Customers sign in by mail: a link or a code, once, for a while, whoever they are; and what is known of them is forgotten with them."""

import asyncio
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from api.conftest import World, world
from bursar.apps.booking import people
from bursar.apps.booking.people.entering import GOOD_FOR, GUESSES_MAX
from bursar.apps.booking.people.visitors import IDLE
from bursar.kernel.errors import LimitExceeded
from bursar.kernel.identity import letters, tokens
from bursar.kernel.identity.people import Device
from bursar.kernel.mail import Message
from serving import KEY
from stage import Stage, set_stage

__all__ = ["world"]

pytestmark = pytest.mark.anyio

DEVICE = Device.of("Phone", "192.0.2.9")
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass
class Post:
    """Everything that was mailed."""

    sent: list[Message] = field(default_factory=list)

    async def send(self, message: Message) -> None:
        self.sent.append(message)


async def post(stage: Stage, *, now: datetime = NOW) -> list[Message]:
    mailed = Post()
    composer = people.sign_in_letters(secret_key=KEY, base_url="https://pay.example.org", clock=lambda: now)
    composers = {people.LETTER: composer}
    await letters.post_letters(
        stage.db, mailed, base_url="https://pay.example.org", clock=lambda: now, composers=composers
    )
    return mailed.sent


async def ask(stage: Stage, email: str, *, device: Device = DEVICE, now: datetime = NOW) -> tokens.Token:
    async with stage.db.tenant(stage.tenant_id) as tx:
        text = await people.ask(tx, tenant_id=stage.tenant_id, email=email, goes_on="/b/x", device=device, now=now)
    token = tokens.read(text)
    assert token
    return token


async def enter(stage: Stage, token: tokens.Token, code: str, *, now: datetime = NOW) -> people.Entered:
    await people.check_code(stage.db, token, code=code, secret_key=KEY, now=now)
    async with stage.db.tenant(token.tenant_id) as tx:
        return await people.enter_by_code(tx, token, device=DEVICE, now=now)


async def follow(stage: Stage, link: str, *, now: datetime = NOW) -> people.Entered:
    token = tokens.read(link)
    assert token
    async with stage.db.tenant(token.tenant_id) as tx:
        return await people.enter_by_link(tx, token, device=DEVICE, now=now)


async def who(stage: Stage, text: str, *, now: datetime = NOW) -> people.Visitor | None:
    token = tokens.read(text)
    assert token
    async with stage.db.tenant(stage.tenant_id) as tx:
        return await people.visitor(tx, token, now=now)


def code_in(message: Message) -> str:
    return re.search(r"\n    (\d{3} \d{3})\n", message.text)[1]


def link_in(message: Message) -> str:
    return re.search(r"/enter\?token=(\S+)", message.text)[1]


@pytest.fixture
async def stage(db, database_url: str) -> Stage:
    return await set_stage(db, database_url, name="Harbour Yoga")


async def test_a_mail_goes_to_every_address_alike_and_its_code_is_good_once_where_it_was_asked_for(stage: Stage):
    token = await ask(stage, "Nobody@Example.com")
    other = await ask(stage, "else@example.com")
    mails = await post(stage)
    mail = next(m for m in mails if m.to == "nobody@example.com")

    with pytest.raises(people.SignInOver):
        await enter(stage, other, code_in(mail))
    tries = await asyncio.gather(*(enter(stage, token, code_in(mail)) for _ in range(4)), return_exceptions=True)

    entered = [each for each in tries if isinstance(each, people.Entered)]
    assert len(mails) == 2
    assert len(entered) == 1
    assert entered[0].knock.goes_on == "/b/x"
    assert (await who(stage, entered[0].token)).email == "nobody@example.com"
    with pytest.raises(people.SignInOver):
        await follow(stage, link_in(mail))
    kept = str(await stage.rows("select * from visitor_sign_in")) + str(await stage.rows("select * from mail_message"))
    assert code_in(mail).replace(" ", "") not in kept
    assert entered[0].token[-43:] not in str(await stage.rows("select * from visitor_session"))


async def test_a_code_is_guessed_five_times_and_then_the_right_one_is_worth_nothing(stage: Stage):
    token = await ask(stage, "ann@example.com")
    (mail,) = await post(stage)
    right = code_in(mail)
    wrong = "000 000" if right != "000 000" else "111 111"

    for _ in range(GUESSES_MAX):
        with pytest.raises(people.SignInOver):
            await enter(stage, token, wrong)
    with pytest.raises(people.SignInOver):
        await enter(stage, token, right)

    assert await stage.value("select guesses from visitor_sign_in") == GUESSES_MAX
    assert await stage.rows("select id from visitor_session") == []


async def test_a_link_is_good_in_any_browser_once_and_not_when_it_is_old_or_another_business_s(stage: Stage, db):
    await ask(stage, "ann@example.com")
    (mail,) = await post(stage)
    link = link_in(mail)
    theirs = await set_stage(db, stage.url, name="Theirs")

    with pytest.raises(people.SignInOver):
        await follow(stage, link, now=NOW + GOOD_FOR)
    entered = await follow(stage, link)
    with pytest.raises(people.SignInOver):
        await follow(stage, link)

    assert (await who(stage, entered.token)).email == "ann@example.com"
    assert await who(theirs, entered.token) is None
    assert await who(stage, entered.token, now=NOW + IDLE) is None
    async with db.tenant(stage.tenant_id) as tx:
        assert await people.dismiss(tx, await people.visitor(tx, tokens.read(entered.token), now=NOW), now=NOW)
    assert await who(stage, entered.token) is None


async def test_one_address_gets_five_mails_an_hour_and_one_visitor_asks_a_hundred_times(stage: Stage):
    for number in range(7):
        await ask(stage, "ann@example.com", device=Device.of("Phone", f"192.0.2.{number}"))
    for number in range(100):
        await ask(stage, f"p{number}@example.com")

    with pytest.raises(LimitExceeded):
        await ask(stage, "one@example.com")

    assert await stage.value("select count(*) from mail_message where kind = 'visitor_sign_in'") == 105
    later = NOW + timedelta(hours=2)
    await ask(stage, "ann@example.com", now=later)
    mailed = [mail.to for _ in range(3) for mail in await post(stage, now=later)]
    assert mailed == ["ann@example.com"]  # the others are too old by now


async def test_what_rules_ask_about_a_customer_is_written_down_told_and_forgotten(world: World):
    mine = world.mine
    customer = (await mine.post("/v1/customers", {"email": "zoe@example.com", "name": "Zoe"})).json()["id"]
    path = f"/v1/customers/{customer}/attendee"
    unknown = (await mine.get(path)).json()
    told = {"is_banned": True, "banned_reason": "shouts", "born_on": "1990-02-28", "notes": "left knee"}

    written = await mine.send("PUT", path, told)
    foreign = await world.theirs.send("PUT", path, told)
    exported = (await mine.post(f"/v1/customers/{customer}/exports")).json()["attendees"]
    erased = await mine.post(f"/v1/customers/{customer}/erasures", {"ground": "requested"})
    await mine.stage.apply()

    assert (unknown["is_banned"], unknown["is_active"], unknown["notes"]) == (False, True, "")
    assert {name: written.json()[name] for name in told} == told
    assert foreign.status_code == 404
    assert [(row["customer"], row["notes"]) for row in exported] == [(customer, "left knee")]
    assert erased.status_code == 202
    after = (await mine.get(path)).json()
    assert (after["is_banned"], after["banned_reason"], after["born_on"], after["notes"]) == (True, None, None, "")
    record = await mine.one("/v1/audit-records", action="attendee.changed")
    assert "shouts" not in str(record["changes"])
