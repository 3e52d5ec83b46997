"""Erase persons in a gateway account's lane, and redact whatever of them comes later. Decision 0015.

Erasing writes what deriving from the redacted registers would write, so that a replay afterwards finds nothing to change.
"""

import os
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.money.applying.redacting import known_marks, mark, marks_of_names, redact_events, which_are_marked
from bursar.money.applying.translation import Translated
from bursar.money.gateways.operator import CUSTOMER_ERASED
from bursar.money.gateways.redaction import Marks, is_pseudonym, redacted
from bursar.money.merging import RegisterKey, rewrite

if TYPE_CHECKING:
    from bursar.money.applying.batch import Account

ANSWERS_OF: Final = r"/v1/(bookings|customers|disputes|portal-sessions|unmatched-payments|manual-|licence-)"
"""Routes whose kept answers may show a person."""

_MAKE_KEY = "insert into erasure_key (tenant_id, key) values ($1, $2) on conflict (tenant_id) do nothing"

_ASKED = """
select e.customers, e.requested_at from erasure e
join erasure_lane l on l.tenant_id = e.tenant_id and l.erasure_id = e.id
where e.tenant_id = $1 and e.id = $2 and l.gateway_account_id = $3 and l.erased_at is null
"""
_ERASED = """
update erasure_lane set erased_at = $4, sweeps_until = $5
where tenant_id = $1 and erasure_id = $2 and gateway_account_id = $3
"""

_NEWEST = "select id from gateway_event where tenant_id = $1 order by id desc limit 1"

_ADDRESSES = "select email from customer where tenant_id = $1 and id = any($2::uuid[]) and email is not null"
_NEWCOMERS = """
select id, email from customer where tenant_id = $1 and id >= $3 and gateway_account_id = $2 and email is not null
"""
_CUSTOMERS = """
select id, gateway_ref, email, name, phone from customer where tenant_id = $1 and gateway_account_id = $2 and id = any($3::uuid[])
"""
_PURCHASES = (
    "select id from purchase where tenant_id = $1 and gateway_account_id = $2 and customer_id = any($3::uuid[])"
)
_NAMES = "select ref from purchase_ref where tenant_id = $1 and purchase_id = any($2::uuid[])"
_OBJECTS = "select kind, ref from gateway_object where tenant_id = $1 and purchase_id = any($2::uuid[])"
_LOOSE = """
select 'payment_method' as kind, gateway_ref as ref from payment_method
where tenant_id = $1 and gateway_account_id = $2 and customer_id = any($3::uuid[])
union all select 'payment_method_of', gateway_ref from payment_method
where tenant_id = $1 and gateway_account_id = $2 and customer_id = any($3::uuid[])
union all select 'customer', gateway_ref from customer
where tenant_id = $1 and gateway_account_id = $2 and id = any($3::uuid[])
union all select 'subscription', gateway_ref from subscription
where tenant_id = $1 and gateway_account_id = $2 and customer_id = any($3::uuid[])
union all select 'licence_key', gateway_ref from licence
where tenant_id = $1 and gateway_account_id = $2 and customer_id = any($3::uuid[]) and gateway_ref is not null
"""

_ROWS = (
    """update payment set description = null, failure_message = null, updated_at = clock_timestamp()
where tenant_id = $1 and purchase_id = any($2::uuid[]) and (description is not null or failure_message is not null)""",
    """update refund as r set reason = null, asked_reason = null, failure = null from payment p
where r.tenant_id = $1 and p.tenant_id = $1 and p.purchase_id = any($2::uuid[]) and r.payment_id = p.id
  and (r.reason is not null or r.asked_reason is not null or r.failure is not null)""",
    """update dispute as d set reason = null from payment p
where d.tenant_id = $1 and p.tenant_id = $1 and p.purchase_id = any($2::uuid[]) and d.payment_id = p.id and d.reason is not null""",
    # An answer that is under way keeps what it says until it has its outcome; then `disputing` takes it.
    """update dispute_answer as a set texts = '{}' from dispute d
where a.tenant_id = $1 and d.tenant_id = $1 and d.purchase_id = any($2::uuid[]) and a.dispute_id = d.id and not a.is_open and a.texts <> '{}'""",
    """update dispute_answer_file as f set filename = 'erased', sha256 = null from dispute_answer a, dispute d
where f.tenant_id = $1 and a.tenant_id = $1 and d.tenant_id = $1 and d.purchase_id = any($2::uuid[]) and a.dispute_id = d.id
  and f.answer_id = a.id and not a.is_open and f.sha256 is not null""",
    """update invoice as i
set lines = (select jsonb_agg(line - 'description' order by place) from jsonb_array_elements(i.lines) with ordinality as l (line, place))
where i.tenant_id = $1 and i.purchase_id = any($2::uuid[]) and i.lines <> '[]'""",
)
_METHODS = """
update payment_method set brand = null, last4 = null, exp_month = null, exp_year = null
where tenant_id = $1 and gateway_account_id = $2 and customer_id = any($3::uuid[])
"""
_ASKED_PAYMENTS = """
update asked_payment set failure_message = null, return_url = null
where tenant_id = $1 and gateway_account_id = $2 and customer_id = any($3::uuid[])
"""
_SETTLEMENTS = (
    "update saga set note = 'erased' where tenant_id = $1 and customer_id = any($2::uuid[]) and note is not null"
)
_STEPS = """
update saga_step as t set error = 'erased' from saga s
where t.tenant_id = $1 and s.tenant_id = $1 and s.customer_id = any($2::uuid[]) and t.saga_id = s.id and t.error is not null
"""
_DEVICES = """
update licence_activation as v set name = null, fingerprint = 'erased:' || encode(sha256(convert_to(v.id::text || $3, 'UTF8')), 'hex')
from licence l where v.tenant_id = $1 and l.tenant_id = $1 and l.customer_id = any($2::uuid[]) and v.licence_id = l.id
  and v.fingerprint not like 'erased:%'
"""
_DESCRIBE = """
update customer as c set gateway_ref = new.ref, email = new.email, name = null, phone = null, erased_at = $4
from unnest($2::uuid[], $3::text[], $5::text[]) as new (id, ref, email)
where c.tenant_id = $1 and c.id = new.id
"""

# What people wrote about the person: by what it is about, or by what stands in it.
_FORGET_NOTES = """
delete from audit_note as n using audit_record r
where n.tenant_id = $1 and r.tenant_id = $1 and r.id = n.record_id
  and (r.subject = any($2::text[]) or r.changes ->> 'customer' = any($2::text[]) or r.changes ->> 'payment' = any($2::text[])
       or exists (select from unnest($3::text[]) as v (word) where strpos(lower(n.told::text), v.word) > 0))
"""
_SUBJECTS = """
select 'payment' as kind, id from payment where tenant_id = $1 and customer_id = any($2::uuid[])
union all select 'subscription', id from subscription where tenant_id = $1 and customer_id = any($2::uuid[])
union all select 'licence', id from licence where tenant_id = $1 and customer_id = any($2::uuid[])
union all select 'spend', id from credit_spend where tenant_id = $1 and customer_id = any($2::uuid[])
union all select 'lot', id from credit_lot where tenant_id = $1 and customer_id = any($2::uuid[])
union all select 'booking', id from booking where tenant_id = $1 and customer_id = any($2::uuid[])
union all select 'booking_fee', id from booking_fee where tenant_id = $1 and customer_id = any($2::uuid[])
union all select 'waitlist_entry', id from waitlist_entry where tenant_id = $1 and customer_id = any($2::uuid[])
union all select 'dispute', id from dispute where tenant_id = $1 and purchase_id = any($3::uuid[])
union all select 'event', o.event_id from gateway_object o where o.tenant_id = $1 and o.purchase_id = any($3::uuid[])
"""
_FORGET_REPLAYS = """
update gateway_event_replay as r set reason = 'erased'
where r.tenant_id = $1 and exists (select from unnest($2::text[]) as v (word) where strpos(lower(r.reason), v.word) > 0)
"""
# What was asked of the gateway stands there; here it has its outcome and is not sent again.
_FORGET_CALLS = """
update gateway_call as c set request = 'erased', url = null, error_message = null
where c.tenant_id = $1 and c.state in ('succeeded', 'refused') and (c.subject = any($3::text[]) or exists (
  select from unnest($2::text[]) as v (word)
  where strpos(lower(convert_from(c.request, 'UTF8')), v.word) > 0 or strpos(lower(c.error_message), v.word) > 0))
"""
# The business's own pages: who came is asked no more, and what was known of him is forgotten.
_FORGET_VISITS = (
    "delete from visitor_sign_in where tenant_id = $1 and email = any($2::text[])",
    "delete from visitor_session where tenant_id = $1 and email = any($2::text[])",
)
_FORGET_ATTENDEES = """
update attendee set banned_reason = null, born_on = null, level = null, gender = null, notes = '', changed_at = clock_timestamp()
where tenant_id = $1 and customer_id = any($2::uuid[])
"""
# That somebody was there stays; what was written about why does not.
_FORGET_REASONS = """
update booking set cancel_reason = null, override_reason = case when override_reason is not null then 'erased' end
where tenant_id = $1 and customer_id = any($2::uuid[]) and (cancel_reason is not null or override_reason is not null)
"""
_FORGET_WAIVERS = "update booking_fee set reason = 'erased' where tenant_id = $1 and customer_id = any($2::uuid[]) and reason is not null"
_FORGET_ANSWERS = "update idempotency_answer set body = null where tenant_id = $1 and body is not null and route ~ $2"

_PREFIX: Final = {
    "payment": ids.PAYMENT,
    "dispute": ids.DISPUTE,
    "subscription": ids.SUBSCRIPTION,
    "licence": ids.LICENCE,
    "spend": ids.SPEND,
    "lot": ids.LOT,
    "event": ids.EVENT,
    "booking": ids.BOOKING,
    "booking_fee": ids.BOOKING_FEE,
    "waitlist_entry": ids.WAITLIST_ENTRY,
}
_WORD_LENGTH_MIN: Final = 4
CLOCKS_APART: Final = timedelta(minutes=10)
"""How far clocks may be apart, and how long a transaction may have been under way, that opened a customer unseen."""


async def erase_and_redact(
    tx: Transaction, *, account: "Account", events: Sequence[Translated], now: datetime
) -> Sequence[Translated]:
    """Do the erasures among the events; return the events without anybody who is erased, whose bodies are replaced."""
    for asked in events:
        if asked.event.type == CUSTOMER_ERASED and asked.event.origin == "operator":
            await _erase(tx, account=account, erasure_id=UUID(asked.payload["data"]["erasure"]), now=now)
    marks = await known_marks(tx, tenant_id=account.tenant_id)
    if marks is None:
        return events
    return await redact_events(tx, account=account, marks=marks, events=events)


async def redact_purchases(tx: Transaction, *, tenant_id: UUID, purchases: Collection[UUID]) -> None:
    """Let the rows of these purchases say no more than their redacted facts do."""
    for statement in _ROWS:
        await tx.execute(statement, tenant_id, list(purchases))


async def _erase(tx: Transaction, *, account: "Account", erasure_id: UUID, now: datetime) -> None:
    """Take one person out of everything that this account's reports became. Once more changes nothing."""
    tenant_id = account.tenant_id
    row = await tx.fetchrow(_ASKED, tenant_id, erasure_id, account.id)
    if row is None:
        return
    await tx.execute(_MAKE_KEY, tenant_id, os.urandom(32))
    marks = await known_marks(tx, tenant_id=tenant_id)
    assert marks is not None
    asked = await _with_newcomers(tx, account=account, asked=row["customers"], since=row["requested_at"], marks=marks)
    # Desk payments of one account may be a customer's of another: what is the person's is sought by every row.
    purchases = [row["id"] for row in await tx.fetch(_PURCHASES, tenant_id, account.id, asked)]
    rows = await tx.fetch(_CUSTOMERS, tenant_id, account.id, asked)
    await _redact_registers(tx, account=account, customers=asked, purchases=purchases, marks=marks)
    await _redact_rows(tx, account=account, customers=asked, purchases=purchases)
    words = {row[field] for row in rows for field in ("name", "phone", "email") if row[field]}
    await _forget_words(tx, tenant_id=tenant_id, customers=asked, purchases=purchases, words=words)
    await _redact_customers(tx, tenant_id=tenant_id, rows=rows, marks=marks, now=now)
    await tx.execute(_FORGET_ANSWERS, tenant_id, ANSWERS_OF)
    # Whatever is applied already is no newer than the newest event there is, whichever clock its id was made by.
    newest = await tx.fetchval(_NEWEST, tenant_id)
    await tx.execute(_ERASED, tenant_id, erasure_id, account.id, now, newest)


async def _with_newcomers(
    tx: Transaction, *, account: "Account", asked: list[UUID], since: datetime, marks: Marks
) -> list[UUID]:
    """Mark the person's addresses; return the customers to be erased, with those of the account that came since it was asked.

    Not every address that a purchase of the person tells is the person's own: those of the customers are.
    """
    tenant_id = account.tenant_id
    emails = {row["email"] for row in await tx.fetch(_ADDRESSES, tenant_id, asked)}
    await mark(tx, tenant_id=tenant_id, marks={marks.of_email(e) for e in emails if not is_pseudonym(e)})
    rows = await tx.fetch(_NEWCOMERS, tenant_id, account.id, ids.least_at(since - CLOCKS_APART))
    own = {row["id"]: marks.of_email(row["email"]) for row in rows}
    marked = await which_are_marked(tx, tenant_id=tenant_id, marks=set(own.values()))
    return [
        *asked,
        *(customer_id for customer_id, found in own.items() if found in marked and customer_id not in asked),
    ]


async def _redact_registers(
    tx: Transaction, *, account: "Account", customers: list[UUID], purchases: list[UUID], marks: Marks
) -> None:
    """Redact the merged facts of the person and mark their names."""
    tenant_id = account.tenant_id
    loose = [RegisterKey(r["kind"], r["ref"]) for r in await tx.fetch(_LOOSE, tenant_id, account.id, customers)]
    members = [RegisterKey(r["kind"], r["ref"]) for r in await tx.fetch(_OBJECTS, tenant_id, purchases)]
    names = {row["ref"] for row in await tx.fetch(_NAMES, tenant_id, purchases)}
    names |= {f"{key.kind}:{key.ref}" for key in (*loose, *members)}
    names |= {f"customer:{ids.show(ids.CUSTOMER, customer_id)}" for customer_id in customers}
    found = marks_of_names(names, account, marks)
    await mark(tx, tenant_id=tenant_id, marks=found)
    await rewrite(
        tx,
        tenant_id=tenant_id,
        account_id=account.id,
        keys=[*loose, *members],
        change=lambda fact: redacted(fact, marks),
    )


async def _redact_rows(tx: Transaction, *, account: "Account", customers: list[UUID], purchases: list[UUID]) -> None:
    tenant_id = account.tenant_id
    await redact_purchases(tx, tenant_id=tenant_id, purchases=purchases)
    await tx.execute(_METHODS, tenant_id, account.id, customers)
    await tx.execute(_SETTLEMENTS, tenant_id, customers)
    await tx.execute(_STEPS, tenant_id, customers)
    await tx.execute(_ASKED_PAYMENTS, tenant_id, account.id, customers)
    await tx.execute(_FORGET_REASONS, tenant_id, customers)
    await tx.execute(_FORGET_WAIVERS, tenant_id, customers)
    # The salt makes it useless to try devices that are known from elsewhere.
    await tx.execute(_DEVICES, tenant_id, customers, os.urandom(16).hex())


async def _forget_words(
    tx: Transaction, *, tenant_id: UUID, customers: list[UUID], purchases: list[UUID], words: Iterable[str]
) -> None:
    """Delete what was written about the person into the audit trail, the replays, and what was asked of gateways."""
    rows = await tx.fetch(_SUBJECTS, tenant_id, customers, purchases)
    subjects = {ids.show(ids.CUSTOMER, c) for c in customers} | {ids.show(_PREFIX[r["kind"]], r["id"]) for r in rows}
    telling = sorted({word.lower() for word in words if len(word) >= _WORD_LENGTH_MIN})
    await tx.execute(_FORGET_NOTES, tenant_id, sorted(subjects), telling)
    await tx.execute(_FORGET_REPLAYS, tenant_id, telling)
    await tx.execute(_FORGET_CALLS, tenant_id, telling, sorted(subjects))
    for statement in _FORGET_VISITS:
        await tx.execute(statement, tenant_id, telling)
    await tx.execute(_FORGET_ATTENDEES, tenant_id, customers)


async def _redact_customers(
    tx: Transaction, *, tenant_id: UUID, rows: Sequence[Any], marks: Marks, now: datetime
) -> None:
    await tx.execute(
        _DESCRIBE,
        tenant_id,
        [row["id"] for row in rows],
        [_ref_after(row["gateway_ref"], marks) for row in rows],
        now,
        [marks.pseudonym(row["email"]) if row["email"] else None for row in rows],
    )


def _ref_after(ref: str, marks: Marks) -> str:
    kind, colon, address = ref.partition(":")
    return f"email:{marks.pseudonym(address)}" if colon and kind == "email" else ref
