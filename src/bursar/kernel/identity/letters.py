"""Letters: what people are told by mail, put down in the transaction that causes it, and sent by a worker.

A letter names an address and its kind, nothing more. Whether somebody of that address is here, and the secret of the link,
is looked up and made when it is sent: asking for a letter takes as long for an unknown address as for a known one, and no
database dump holds a link.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

import structlog

from bursar.kernel import ids
from bursar.kernel.db import Database, Transaction
from bursar.kernel.identity import links, throttle
from bursar.kernel.identity.people import email_key
from bursar.kernel.mail import Mailer, MailFailed, Message

Kind = Literal["invitation", "password_reset", "email_verification"]

ATTEMPTS_MAX: Final = 8
AT_ONCE: Final = 50
_LEASE: Final = timedelta(minutes=2)

_PATHS: Final[dict[str, str]] = {
    "invitation": "/accept",
    "password_reset": "/reset",
    "email_verification": "/verify",
}

_WRITE = "insert into mail_message (tenant_id, id, kind, email, created_at) values ($1, $2, $3, $4, $5)"
_WRITE_ABOUT = """
insert into mail_message (tenant_id, id, kind, email, about, created_at) values ($1, $2, $3, '', $4, $5)
on conflict (tenant_id, kind, about) where about is not null do nothing
returning id
"""
_QUEUE = "insert into mail_queue (tenant_id, id, due_at) values ($1, $2, $3)"

_WRITE_ALL_ABOUT = """
with written as (
  insert into mail_message (tenant_id, id, kind, email, about, created_at)
  select $1, id, $2, '', about, $3 from unnest($4::uuid[], $5::text[]) as new (id, about)
  on conflict (tenant_id, kind, about) where about is not null do nothing
  returning id
)
insert into mail_queue (tenant_id, id, due_at) select $1, id, $3 from written
"""

_DUE = f"select tenant_id, id from mail_queue where due_at <= $1 order by due_at limit {AT_ONCE}"
_TAKE = """
update mail_queue set due_at = $3::timestamptz + $4, attempts = attempts + 1 where tenant_id = $1 and id = $2 and due_at <= $3
returning attempts
"""
_LETTER = """
select m.kind, m.email, m.about, t.name as business from mail_message m join tenant t on t.tenant_id = m.tenant_id
where m.tenant_id = $1 and m.id = $2
"""
_RECIPIENT = """
select id, email, name from tenant_user
where tenant_id = $1 and email_key = $2 and deactivated_at is null
  and case $3::text when 'invitation' then password_hash is null when 'email_verification' then email_verified_at is null
    else true end
"""
_SENT = "update mail_message set sent_at = $3, dropped = $4 where tenant_id = $1 and id = $2"
_LATER = "update mail_queue set due_at = $3 where tenant_id = $1 and id = $2"
_DONE = "delete from mail_queue where tenant_id = $1 and id = $2"

Composer = Callable[[Transaction, UUID, str, str], Awaitable[Message | None]]
"""Write a letter: of a tenant, about something (public id), from a business (its name). None: there is nobody to write to, or no need."""

NO_COMPOSERS: Final[Mapping[str, Composer]] = {}

_log = structlog.get_logger("bursar.mail")


@dataclass(frozen=True, slots=True)
class _Taken:
    """A letter that this worker has to itself for a while. message: None when there is nobody to write to."""

    tenant_id: UUID
    id: UUID
    attempts: int
    message: Message | None


async def write(tx: Transaction, *, tenant_id: UUID, kind: Kind, email: str, now: datetime) -> None:
    """Put a letter down, to be sent once the transaction is committed."""
    letter_id = ids.new()
    await tx.execute(_WRITE, tenant_id, letter_id, kind, email_key(email)[:254], now)
    await tx.execute(_QUEUE, tenant_id, letter_id, now)


async def write_about(tx: Transaction, *, tenant_id: UUID, kind: str, about: str, now: datetime) -> bool:
    """Put down a letter to whomever something is about; False when one of this kind about it is there already.

    about: public id. Its composer says to whom it goes and what it says, when it is sent: see `Composer`.
    """
    letter_id = ids.new()
    if await tx.fetchval(_WRITE_ABOUT, tenant_id, letter_id, kind, about, now) is None:
        return False
    await tx.execute(_QUEUE, tenant_id, letter_id, now)
    return True


async def write_all_about(tx: Transaction, *, tenant_id: UUID, kind: str, abouts: Sequence[str], now: datetime) -> None:
    """Put down one letter of a kind about each of these, in one statement; those that are there already are left as they are."""
    if abouts:
        await tx.execute(_WRITE_ALL_ABOUT, tenant_id, kind, now, [ids.new() for _ in abouts], list(abouts))


async def write_limited(tx: Transaction, *, tenant_id: UUID, kind: Kind, email: str, now: datetime) -> None:
    """Put a letter down unless many went to this address lately; whoever asked is not told."""
    what = f"mail to {email_key(email)[:254]}"
    if await throttle.count(tx, tenant_id=tenant_id, what=what, limit=throttle.MAILS, now=now):
        await write(tx, tenant_id=tenant_id, kind=kind, email=email, now=now)


async def post_letters(
    db: Database,
    mailer: Mailer,
    *,
    base_url: str,
    clock: Callable[[], datetime],
    composers: Mapping[str, Composer] = NO_COMPOSERS,
) -> int:
    """Send what is due, and return how many were sent. Any number of workers may do this at once.

    composers: by kind, of letters that are about something.

    A crash between sending and noting it sends a letter twice; its link is another one, and both are good.
    """
    async with db.engine() as tx:
        due = [(row["tenant_id"], row["id"]) for row in await tx.fetch(_DUE, clock())]
    sent = 0
    for tenant_id, letter_id in due:
        taken = await _take(db, tenant_id, letter_id, base_url=base_url, now=clock(), composers=composers)
        if taken is not None:
            sent += await _send(db, mailer, taken, clock=clock)
    return sent


async def _take(
    db: Database,
    tenant_id: UUID,
    letter_id: UUID,
    *,
    base_url: str,
    now: datetime,
    composers: Mapping[str, Composer],
) -> _Taken | None:
    async with db.tenant(tenant_id) as tx:
        attempts = await tx.fetchval(_TAKE, tenant_id, letter_id, now, _LEASE)
        if attempts is None:
            return None
        letter = await tx.fetchrow(_LETTER, tenant_id, letter_id)
        kind = letter["kind"]
        if letter["about"] is not None:
            composer = composers.get(kind)
            written = await composer(tx, tenant_id, letter["about"], letter["business"]) if composer else None
            return _Taken(tenant_id, letter_id, attempts, written)
        row = await tx.fetchrow(_RECIPIENT, tenant_id, email_key(letter["email"]), kind)
        if row is None:
            return _Taken(tenant_id, letter_id, attempts, None)
        token = await links.make(tx, tenant_id=tenant_id, user_id=row["id"], purpose=kind, now=now)
    subject, text = _worded(kind, letter["business"], row["name"], f"{base_url}{_PATHS[kind]}?token={token}")
    return _Taken(tenant_id, letter_id, attempts, Message(to=row["email"], subject=subject, text=text))


async def _send(db: Database, mailer: Mailer, letter: _Taken, *, clock: Callable[[], datetime]) -> int:
    dropped = None if letter.message else "nobody to write to"
    if letter.message:
        try:
            await mailer.send(letter.message)
        except MailFailed as failure:
            _log.warning("mail_failed", tenant=ids.show(ids.TENANT, letter.tenant_id), detail=failure.message)
            if letter.attempts < ATTEMPTS_MAX and not failure.is_final:
                async with db.tenant(letter.tenant_id) as tx:
                    again = clock() + timedelta(seconds=15 * 2**letter.attempts)
                    await tx.execute(_LATER, letter.tenant_id, letter.id, again)
                return 0
            dropped = "the mail server refused it"
    async with db.tenant(letter.tenant_id) as tx:
        await tx.execute(_SENT, letter.tenant_id, letter.id, None if dropped else clock(), dropped)
        await tx.execute(_DONE, letter.tenant_id, letter.id)
    return 0 if dropped else 1


def _worded(kind: str, business: str, name: str, link: str) -> tuple[str, str]:
    """Return subject and text."""
    match kind:
        case "invitation":
            subject = f"You are invited to {business}"
            body = f"You may sign in to {business}. Choose your password here:"
            ending = f"The address is good for {links.days('invitation')} days, once."
        case "password_reset":
            subject = f"A new password for {business}"
            body = f"Somebody, probably you, asked for a new password for {business}. Choose it here:"
            ending = (
                "The address is good for one hour, once. If it was not you, do nothing: your password stays as it is."
            )
        case _:
            subject = f"Is this your address? {business}"
            body = f"Open this address to show that the mail of {business} reaches you:"
            ending = f"The address is good for {links.days('email_verification')} days, once."
    return subject, f"Hello {name},\n\n{body}\n\n{link}\n\n{ending}\n"
