"""Export a person: everything that is kept about one, as one JSON document, a page at a time.

Each page is read in a transaction of its own, so that a slow reader holds nothing. The raw events are found by reading the
bodies of the accounts' events, as an erasure does: what it would replace is what an export shows. docs/reference/person-export.md
says what the document holds.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from bursar.kernel import ids
from bursar.kernel.db import Database
from bursar.money.applying.sweeping import texts_of
from bursar.money.applying.translation import is_in_own_words
from bursar.money.customers import is_named
from bursar.money.gateways.parsing import parse_object

VERSION: Final = 1
ROWS_AT_ONCE: Final = 200
EVENTS_AT_ONCE: Final = 100
_FIRST: Final = UUID(int=0)

_PREFIXES: Final = {
    "customer_id": ids.CUSTOMER,
    "gateway_account_id": ids.GATEWAY_ACCOUNT,
    "purchase_id": ids.PURCHASE,
    "payment_id": ids.PAYMENT,
    "dispute_id": ids.DISPUTE,
    "price_id": ids.PRICE,
    "grant_id": ids.GRANT,
    "lot_id": ids.LOT,
    "spend_id": ids.SPEND,
    "entitlement_id": ids.ENTITLEMENT,
    "licence_id": ids.LICENCE,
    "event_id": ids.EVENT,
    "class_id": ids.CLASS,
}

_PAGE = "and x.id > $3 order by x.id limit $4"


def _of_customer(table: str, columns: str) -> str:
    return f"select x.id, {columns} from {table} x where x.tenant_id = $1 and x.customer_id = any($2::uuid[]) {_PAGE}"


def _of_payment(table: str, columns: str) -> str:
    return f"""select x.id, {columns} from {table} x join payment p on p.tenant_id = x.tenant_id and p.id = x.payment_id
where x.tenant_id = $1 and p.customer_id = any($2::uuid[]) {_PAGE}"""


_CUSTOMERS = f"""select x.id, x.gateway_account_id, x.gateway_ref, x.email, x.name, x.phone, x.is_deleted, x.created_at,
  x.deleted_at, x.erased_at
from customer x where x.tenant_id = $1 and x.id = any($2::uuid[]) {_PAGE}"""

_DEVICES = f"""select x.id, x.licence_id, x.fingerprint, x.name, x.created_at
from licence_activation x join licence l on l.tenant_id = x.tenant_id and l.id = x.licence_id
where x.tenant_id = $1 and l.customer_id = any($2::uuid[]) {_PAGE}"""

# What is in a file is here only while it is on its way to the gateway.
_ANSWERS = f"""select x.id, x.dispute_id, x.kind, x.is_final, x.texts::text as texts, x.created_at, (
  select coalesce(jsonb_agg(jsonb_build_object('name', f.name, 'filename', f.filename, 'content_type', f.content_type, 'size_bytes', f.size_bytes,
    'content', case when g.state in ('asked', 'unknown') then convert_from(g.request, 'UTF8')::jsonb ->> 'content' end) order by f.name), '[]')
  from dispute_answer_file f join gateway_call g on g.tenant_id = f.tenant_id and g.id = f.call_id
  where f.tenant_id = x.tenant_id and f.answer_id = x.id)::text as files
from dispute_answer x join dispute d on d.tenant_id = x.tenant_id and d.id = x.dispute_id
join payment p on p.tenant_id = d.tenant_id and p.id = d.payment_id
where x.tenant_id = $1 and p.customer_id = any($2::uuid[]) {_PAGE}"""

_SUBJECTS = """
select 'customer' as kind, c.id from customer c where c.tenant_id = $1 and c.id = any($2::uuid[])
union all select 'payment', p.id from payment p where p.tenant_id = $1 and p.customer_id = any($2::uuid[])
union all select 'dispute', d.id from dispute d join payment p on p.tenant_id = d.tenant_id and p.id = d.payment_id
where d.tenant_id = $1 and p.customer_id = any($2::uuid[])
union all select 'subscription', s.id from subscription s where s.tenant_id = $1 and s.customer_id = any($2::uuid[])
union all select 'licence', l.id from licence l where l.tenant_id = $1 and l.customer_id = any($2::uuid[])
union all select 'spend', s.id from credit_spend s where s.tenant_id = $1 and s.customer_id = any($2::uuid[])
union all select 'lot', l.id from credit_lot l where l.tenant_id = $1 and l.customer_id = any($2::uuid[])
union all select 'booking', b.id from booking b where b.tenant_id = $1 and b.customer_id = any($2::uuid[])
union all select 'booking_fee', f.id from booking_fee f where f.tenant_id = $1 and f.customer_id = any($2::uuid[])
union all select 'waitlist_entry', w.id from waitlist_entry w where w.tenant_id = $1 and w.customer_id = any($2::uuid[])
union all select 'order', o.id from customer_order o where o.tenant_id = $1 and o.customer_id = any($2::uuid[])
"""
_SUBJECT_PREFIXES: Final = {
    "customer": ids.CUSTOMER,
    "payment": ids.PAYMENT,
    "dispute": ids.DISPUTE,
    "subscription": ids.SUBSCRIPTION,
    "licence": ids.LICENCE,
    "spend": ids.SPEND,
    "lot": ids.LOT,
    "order": ids.ORDER,
    "booking": ids.BOOKING,
    "booking_fee": ids.BOOKING_FEE,
    "waitlist_entry": ids.WAITLIST_ENTRY,
}

_RECORDS = """select x.id, x.at, x.actor, x.action, x.event_id, x.subject,
  (case when n.told is null then x.changes else x.changes - 'note' || n.told end)::text as changes
from audit_record x left join audit_note n on n.tenant_id = x.tenant_id and n.record_id = x.id
where x.tenant_id = $1 and (
  (x.subject = any($5::text[]) and x.actor <> 'gateway')
  or x.event_id in (
    select t.event_id from ledger_transaction t where t.tenant_id = $1 and t.customer_id = any($2::uuid[])
    union select g.event_id from fulfilment_grant g where g.tenant_id = $1 and g.customer_id = any($2::uuid[])
    union select m.event_id from credit_movement m where m.tenant_id = $1 and m.customer_id = any($2::uuid[])))
  and x.id > $3 order by x.id limit $4"""

_ATTENDEES = """select x.customer_id as id, x.customer_id, x.is_active, x.is_banned, x.banned_reason, x.waiver_signed_at, x.born_on,
  x.level, x.gender, x.dues_unpaid_since, x.notes, x.changed_at
from attendee x where x.tenant_id = $1 and x.customer_id = any($2::uuid[]) and x.customer_id > $3 order by x.customer_id limit $4"""

_VISITS = f"""select x.id, x.email, x.user_agent, x.address, x.created_at, x.last_seen_at, x.ended_at
from visitor_session x where x.tenant_id = $1
  and x.email in (select c.email_key from customer c where c.tenant_id = $1 and c.id = any($2::uuid[])) {_PAGE}"""

SECTIONS: Final[dict[str, tuple[str, str]]] = {
    "customers": (ids.CUSTOMER, _CUSTOMERS),
    "payments": (
        ids.PAYMENT,
        _of_customer(
            "payment",
            """x.gateway_account_id, x.gateway_ref, x.charge_ref, x.customer_id, x.status, x.amount_minor, x.currency,
  x.refunded_minor, x.is_disputed, x.failure_code, x.failure_message, x.description, x.created_at""",
        ),
    ),
    "asked_payments": (
        ids.PAYMENT,
        _of_customer(
            "asked_payment",
            """x.gateway_account_id, x.gateway_ref, x.customer_id, x.status, x.amount_minor, x.currency, x.return_url,
  x.failure_code, x.failure_message, x.created_at""",
        ),
    ),
    "refunds": (
        ids.REFUND,
        _of_payment(
            "refund", "x.payment_id, x.gateway_ref, x.status, x.amount_minor, x.currency, x.reason, x.created_at"
        ),
    ),
    "disputes": (
        ids.DISPUTE,
        _of_payment(
            "dispute",
            "x.payment_id, x.gateway_ref, x.status, x.amount_minor, x.currency, x.reason, x.due_by, x.created_at",
        ),
    ),
    "dispute_answers": (ids.DISPUTE_ANSWER, _ANSWERS),
    "invoices": (
        ids.INVOICE,
        _of_customer(
            "invoice",
            """x.gateway_account_id, x.gateway_ref, x.customer_id, x.subscription_ref, x.number, x.status, x.total_minor,
  x.paid_minor, x.currency, x.billing_reason, x.lines::text as lines, x.due_at, x.paid_at, x.created_at""",
        ),
    ),
    "subscriptions": (
        ids.SUBSCRIPTION,
        _of_customer(
            "subscription",
            """x.gateway_account_id, x.gateway_ref, x.customer_id, x.price_id, x.status, x.current_period_start,
  x.current_period_end, x.cancel_at, x.canceled_at, x.ended_at, x.trial_end, x.created_at""",
        ),
    ),
    "checkout_sessions": (
        ids.CHECKOUT,
        _of_customer(
            "checkout_session",
            "x.gateway_ref, x.customer_id, x.mode, x.status, x.payment_status, x.amount_minor, x.currency, x.created_at",
        ),
    ),
    "payment_methods": (
        ids.PAYMENT_METHOD,
        _of_customer(
            "payment_method",
            """x.gateway_account_id, x.gateway_ref, x.customer_id, x.method, x.brand, x.last4, x.exp_month, x.exp_year,
  x.is_detached, x.created_at""",
        ),
    ),
    "orders": (ids.ORDER, _of_customer("customer_order", "x.customer_id, x.lines::text as lines, x.created_at")),
    "grants": (
        ids.GRANT,
        _of_customer(
            "fulfilment_grant",
            """x.customer_id, x.price_id, x.kind, x.quantity, x.spec::text as spec, x.status, x.starts_at, x.ends_at, x.event_id,
  x.created_at""",
        ),
    ),
    "credit_lots": (
        ids.LOT,
        _of_customer(
            "credit_lot",
            "x.customer_id, x.grant_id, x.pool, x.granted, x.taken, x.spent, x.remaining, x.effective_at, x.expires_at, x.created_at",
        ),
    ),
    "credit_movements": (
        ids.MOVEMENT,
        _of_customer("credit_movement", "x.customer_id, x.lot_id, x.kind, x.amount, x.spend_id, x.created_at"),
    ),
    "credit_spends": (
        ids.SPEND,
        _of_customer("credit_spend", "x.customer_id, x.pool, x.reference, x.amount, x.returned, x.created_at"),
    ),
    "entitlements": (
        ids.ENTITLEMENT,
        _of_customer(
            "entitlement",
            "x.customer_id, x.grant_id, x.kind, x.key, x.amount_max, x.per, x.status, x.starts_at, x.ends_at, x.created_at",
        ),
    ),
    "licences": (
        ids.LICENCE,
        _of_customer(
            "licence",
            "x.customer_id, x.key, x.product, x.activations_max, x.activations, x.status, x.expires_at, x.created_at",
        ),
    ),
    "licence_activations": (ids.ACTIVATION, _DEVICES),
    "bookings": (
        ids.BOOKING,
        _of_customer(
            "booking",
            """x.customer_id, x.number, x.kind, x.status, x.seats, x.starts_at, x.ends_at, x.snapshot::text as snapshot, x.source, x.paid_with,
  x.credit_cost, x.missing_credits, x.spend_id, x.price_minor, x.due_minor, x.deposit_percent, x.discount_minor, x.coupon_id, x.tax_bp, x.tax_included, x.tax_minor, x.currency, x.cancel_by, x.override_reason, x.cancelled_at, x.cancel_reason, x.credits_back,
  x.attended_at, x.created_at""",
        ),
    ),
    "booking_fees": (
        ids.BOOKING_FEE,
        _of_customer(
            "booking_fee",
            """x.customer_id, x.booking_id, x.kind, x.amount_minor, x.currency, x.status, x.grant_id, x.reason, x.opened_at, x.ended_at,
  x.created_at""",
        ),
    ),
    "waitlist_entries": (
        ids.WAITLIST_ENTRY,
        _of_customer(
            "waitlist_entry", "x.customer_id, x.class_id, x.seats, x.status, x.told, x.ended_at, x.created_at"
        ),
    ),
    "attendees": (ids.CUSTOMER, _ATTENDEES),
    "visits": (ids.SESSION, _VISITS),
}
"""Prefix of the ids and the statement of each part of the document, in its order."""

STATEMENTS: Final = tuple(statement for _, statement in SECTIONS.values())
"""For the test that prepares every statement."""

_JSON_COLUMNS: Final = ("lines", "spec", "changes", "texts", "files", "snapshot")

_NAMES = """
select c.gateway_account_id as account_id, c.gateway_ref as ref, c.email from customer c
where c.tenant_id = $1 and c.id = any($2::uuid[])
union select r.gateway_account_id, substr(r.ref, strpos(r.ref, ':') + 1), null from purchase p
join purchase_ref r on r.tenant_id = p.tenant_id and r.purchase_id = p.id
where p.tenant_id = $1 and p.customer_id = any($2::uuid[])
union select s.gateway_account_id, s.gateway_ref, null from subscription s
where s.tenant_id = $1 and s.customer_id = any($2::uuid[])
union select m.gateway_account_id, m.gateway_ref, null from payment_method m
where m.tenant_id = $1 and m.customer_id = any($2::uuid[])
"""

_EVENTS = """
select e.id, e.gateway_account_id, e.gateway_event_id, e.type, e.origin, e.occurred_at, e.received_at, b.body
from gateway_event e
join gateway_event_body b on b.tenant_id = e.tenant_id and b.event_id = e.id and b.received_at = e.received_at
where e.tenant_id = $1 and e.id > $2 order by e.id limit $3
"""


async def export_pieces(
    db: Database, *, tenant_id: UUID, customers: Sequence[UUID], now: datetime
) -> AsyncIterator[bytes]:
    """Yield the document, piece by piece: an object with a list for each kind of thing. Its end is there or it was cut off.

    customers: every row of the person (`erasing.same_person`).
    """
    head = {"version": VERSION, "tenant": ids.show(ids.TENANT, tenant_id), "exported_at": now}
    yield msgspec.json.encode(head)[:-1]
    for name, (prefix, statement) in SECTIONS.items():
        async for piece in _section(name, _rows(db, tenant_id, customers, statement), prefix):
            yield piece
    subjects = await _subjects(db, tenant_id, customers)
    records = _rows(db, tenant_id, customers, _RECORDS, subjects)
    async for piece in _section("audit_records", records, ids.AUDIT):
        yield piece
    async for piece in _section("gateway_events", _events(db, tenant_id, customers), ids.EVENT):
        yield piece
    yield b',"is_complete":true}\n'


async def _section(name: str, rows: AsyncIterator[Mapping[str, Any]], prefix: str) -> AsyncIterator[bytes]:
    yield b',"' + name.encode() + b'":['
    comma = b"\n"
    async for row in rows:
        yield comma + msgspec.json.encode(_shown(row, prefix))
        comma = b",\n"
    yield b"]"


async def _rows(
    db: Database, tenant_id: UUID, customers: Sequence[UUID], statement: str, *more: object
) -> AsyncIterator[Mapping[str, Any]]:
    after = _FIRST
    while True:
        async with db.tenant(tenant_id) as tx:
            rows = await tx.fetch(statement, tenant_id, list(customers), after, ROWS_AT_ONCE, *more)
        for row in rows:
            yield dict(row)
        if len(rows) < ROWS_AT_ONCE:
            return
        after = rows[-1]["id"]


async def _subjects(db: Database, tenant_id: UUID, customers: Sequence[UUID]) -> list[str]:
    async with db.tenant(tenant_id) as tx:
        rows = await tx.fetch(_SUBJECTS, tenant_id, list(customers))
    return sorted(ids.show(_SUBJECT_PREFIXES[row["kind"]], row["id"]) for row in rows)


async def _events(db: Database, tenant_id: UUID, customers: Sequence[UUID]) -> AsyncIterator[Mapping[str, Any]]:
    """Yield every stored event in which any text is the person's address, or an id of his within the event's account."""
    refs, emails = await _names(db, tenant_id, customers)
    after = _FIRST
    while True:
        async with db.tenant(tenant_id) as tx:
            rows = await tx.fetch(_EVENTS, tenant_id, after, EVENTS_AT_ONCE)
        for row in rows:
            known = refs.get(row["gateway_account_id"], set()) | refs[None]
            body = bytes(row["body"])
            is_own = is_in_own_words(origin=row["origin"], type=row["type"])
            texts = _named_by_us(body) if is_own else texts_of(body)
            if any(text in known or text.strip().lower() in emails for text in texts):
                yield {**dict(row), "body": _body(body)}
        if len(rows) < EVENTS_AT_ONCE:
            return
        after = rows[-1]["id"]


async def _names(
    db: Database, tenant_id: UUID, customers: Sequence[UUID]
) -> tuple[dict[UUID | None, set[str]], set[str]]:
    """Return the gateway's ids that are the person's, by account, ours under None; and the addresses."""
    async with db.tenant(tenant_id) as tx:
        rows = await tx.fetch(_NAMES, tenant_id, list(customers))
    refs: dict[UUID | None, set[str]] = {None: {ids.show(ids.CUSTOMER, customer_id) for customer_id in customers}}
    for row in rows:
        if is_named(row["ref"]):
            refs.setdefault(row["account_id"], set()).add(row["ref"])
    return refs, {row["email"].strip().lower() for row in rows if row["email"]}


def _named_by_us(body: bytes) -> list[str]:
    """Return whom and what an event of our own names. Its other texts are words that may mean anything."""
    data = parse_object(body).get("data", {})
    return [data[name] for name in ("customer", "email", "payment", "ref") if isinstance(data.get(name), str)]


def _body(body: bytes) -> Any:
    """Return a body as JSON where it is that, else as text."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode("utf-8", "replace")


def _shown(row: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Return a row with public ids; `customer_id` becomes `customer`."""
    told: dict[str, Any] = {"id": ids.show(prefix, row["id"])}
    for name, value in row.items():
        if name in _PREFIXES:
            told[name.removesuffix("_id")] = ids.show(_PREFIXES[name], value) if value else None
        elif name in _JSON_COLUMNS:
            told[name] = msgspec.json.decode(value)
        elif name != "id":
            told[name] = value
    return told
