"""Letters: written with what causes them, sent by a worker, their links made when they are sent and good once."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import pytest

from bursar.kernel.access import OPERATOR
from bursar.kernel.identity import letters, links, users
from bursar.kernel.identity.choosing import ask_for_reset, choose_by_link, verify_email
from bursar.kernel.identity.links import LinkInvalid
from bursar.kernel.identity.passwords import Passwords
from bursar.kernel.identity.people import Device
from bursar.kernel.mail import MailFailed, Message
from stage import Stage, set_stage

pytestmark = pytest.mark.anyio

BASE = "https://pay.example.org"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DEVICE = Device.of("Browser", "192.0.2.1")
PASSWORD = "nine green bottles on a wall"


class Kept:
    """A mailer that keeps what it is given, and fails as often as it is told to."""

    def __init__(self, *failures: MailFailed) -> None:
        self.messages: list[Message] = []
        self.failures = list(failures)

    async def send(self, message: Message) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.messages.append(message)


@pytest.fixture
async def stage(db, database_url) -> Stage:
    stage = await set_stage(db, database_url, name="Harbour Yoga")
    async with db.tenant(stage.tenant_id) as tx:
        await users.invite(
            tx, tenant_id=stage.tenant_id, email="Ann@Example.com", name="Ann", roles=["owner"], by=OPERATOR, now=NOW
        )
    return stage


async def posted(stage: Stage, mailer: Kept, *, now: datetime = NOW) -> int:
    return await letters.post_letters(stage.db, mailer, base_url=BASE, clock=lambda: now)


def token_of(message: Message) -> str:
    found = re.search(r"token=(\S+)", message.text)
    assert found
    return found[1]


async def test_an_invitation_is_sent_once_and_its_link_sets_a_password_once(stage):
    mailer = Kept()

    assert (await posted(stage, mailer), await posted(stage, mailer, now=NOW + timedelta(hours=1))) == (1, 0)

    [message] = mailer.messages
    assert message.to == "Ann@Example.com"
    assert "Harbour Yoga" in message.subject
    assert f"{BASE}/accept?token=" in message.text
    told = {"text": token_of(message), "password": PASSWORD, "device": DEVICE, "now": NOW}
    await choose_by_link(stage.db, Passwords(), **told)
    with pytest.raises(LinkInvalid):
        await choose_by_link(stage.db, Passwords(), **told)
    user = await stage.row("select password_hash like '$argon2id$%' as is_set, email_verified_at from tenant_user")
    assert user == {"is_set": True, "email_verified_at": NOW}


async def test_of_two_who_use_a_link_at_once_one_wins(stage):
    mailer, passwords = Kept(), Passwords()
    await posted(stage, mailer)
    token = token_of(mailer.messages[0])

    outcomes = await asyncio.gather(
        *(
            choose_by_link(stage.db, passwords, text=token, password=f"{PASSWORD} {n}", device=DEVICE, now=NOW)
            for n in range(8)
        ),
        return_exceptions=True,
    )

    assert sum(isinstance(one, LinkInvalid) for one in outcomes) == 7
    assert await stage.value("select count(*) from audit_record where action = 'user.password_set'") == 1


async def test_a_request_for_an_unknown_address_leaves_the_same_rows_and_sends_nothing(stage):
    await stage.rows("delete from mail_queue returning id")
    mailer = Kept()

    for email in ("ann@EXAMPLE.com", "nobody@example.com"):
        await ask_for_reset(stage.db, tenant_id=stage.tenant_id, email=email, device=DEVICE, now=NOW)
    waiting = await stage.rows("select kind, sent_at, dropped from mail_message where kind = 'password_reset'")
    assert waiting == [{"kind": "password_reset", "sent_at": None, "dropped": None}] * 2

    assert await posted(stage, mailer) == 1
    assert [message.to for message in mailer.messages] == ["Ann@Example.com"]
    dropped = await stage.rows("select dropped from mail_message where email = 'nobody@example.com'")
    assert dropped == [{"dropped": "nobody to write to"}]


async def test_requests_for_one_address_are_limited_and_do_not_say_so(stage):
    for _ in range(9):
        await ask_for_reset(stage.db, tenant_id=stage.tenant_id, email="ann@example.com", device=DEVICE, now=NOW)

    assert await stage.value("select count(*) from mail_message where kind = 'password_reset'") == 5


async def test_a_mail_server_that_is_away_is_tried_again_and_one_that_says_never_is_not(stage):
    mailer = Kept(MailFailed("away"), MailFailed("no such person", is_final=True))

    assert await posted(stage, mailer) == 0
    assert await posted(stage, mailer, now=NOW + timedelta(seconds=29)) == 0
    assert len(mailer.failures) == 1
    assert await posted(stage, mailer, now=NOW + timedelta(seconds=31)) == 0

    assert await stage.row("select sent_at, dropped from mail_message") == {
        "sent_at": None,
        "dropped": "the mail server refused it",
    }
    assert await stage.value("select count(*) from mail_queue") == 0


async def test_a_worker_that_died_after_sending_sends_again_and_both_links_work_until_one_is_used(stage):
    mailer = Kept()

    class Died(Kept):
        async def send(self, message: Message) -> None:
            await super().send(message)
            raise asyncio.CancelledError

    dying = Died()
    with pytest.raises(asyncio.CancelledError):
        await posted(stage, dying)
    assert await posted(stage, mailer, now=NOW + timedelta(minutes=1)) == 0, "its lease still runs"
    assert await posted(stage, mailer, now=NOW + timedelta(minutes=3)) == 1

    first, second = token_of(dying.messages[0]), token_of(mailer.messages[0])
    assert first != second
    await choose_by_link(stage.db, Passwords(), text=first, password=PASSWORD, device=DEVICE, now=NOW)
    with pytest.raises(LinkInvalid):
        await choose_by_link(stage.db, Passwords(), text=second, password=PASSWORD, device=DEVICE, now=NOW)


async def test_two_workers_send_a_letter_once(stage):
    mailer = Kept()

    sent = await asyncio.gather(*(posted(stage, mailer) for _ in range(4)))

    assert (sum(sent), len(mailer.messages)) == (1, 1)


async def test_a_link_is_for_one_purpose_until_it_expires_and_for_nobody_deactivated(stage):
    user_id = await stage.value("select id from tenant_user")
    async with stage.db.tenant(stage.tenant_id) as tx:
        made = {
            purpose: await links.make(tx, tenant_id=stage.tenant_id, user_id=user_id, purpose=purpose, now=NOW)
            for purpose in ("invitation", "password_reset", "email_verification")
        }
    told = {"password": PASSWORD, "device": DEVICE}

    with pytest.raises(LinkInvalid):
        await choose_by_link(stage.db, Passwords(), text=made["email_verification"], now=NOW, **told)
    with pytest.raises(LinkInvalid):
        await verify_email(stage.db, made["invitation"], now=NOW)
    with pytest.raises(LinkInvalid):
        await choose_by_link(stage.db, Passwords(), text=made["password_reset"], now=NOW + timedelta(hours=1), **told)
    await verify_email(stage.db, made["email_verification"], now=NOW)
    with pytest.raises(LinkInvalid):
        await verify_email(stage.db, made["email_verification"], now=NOW)
    await stage.rows("update tenant_user set deactivated_at = now() returning id")
    with pytest.raises(LinkInvalid):
        await choose_by_link(stage.db, Passwords(), text=made["invitation"], now=NOW, **told)


@pytest.mark.parametrize("text", ["", "x", "0" * 96, "0" * 52 + "_" + "A" * 43, "z" * 52 + "_" + "A" * 43, "é" * 96])
async def test_what_is_no_link_of_ours_is_refused(stage, text):
    with pytest.raises(LinkInvalid):
        await choose_by_link(stage.db, Passwords(), text=text, password=PASSWORD, device=DEVICE, now=NOW)


async def test_no_dump_of_the_database_holds_a_link(stage):
    mailer = Kept()
    await posted(stage, mailer)
    secret = token_of(mailer.messages[0]).partition("_")[2]

    for table in ("user_link", "mail_message", "mail_queue", "audit_record", "tenant_user"):
        told = await stage.rows(f"select t::text as told from {table} t")
        assert not [row for row in told if secret in row["told"]], table
