"""The sweep finds a broken row at its next look, keeps the red mark until it is whole, and reads only what changed."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from hashlib import md5
from uuid import UUID

import asyncpg
import pytest
from breaks import _BOOKING, _CLASS, BREAKS
from histories import CHECKOUT, FULL_REFUND, MODERN, REFUNDS
from scene import STANDING, connected, play_calmly
from test_verify import do_wrong

from bursar.kernel import ids
from bursar.operations.invariants import INVARIANTS, Scope
from bursar.operations.sweep import changes, looking, red_marks, sweep
from stage import set_stage

pytestmark = pytest.mark.anyio

FOUND_BY_SWEEP = {invariant.name for invariant in INVARIANTS if invariant.scope is not Scope.never}


def soon(minutes: int) -> datetime:
    return datetime.now(UTC) + timedelta(minutes=minutes)


async def look(db, minute: int = 0):
    return await sweep(db, standing_kinds=STANDING, now=soon(minute))


async def failures_of(stage) -> dict[str, list[dict]]:
    told = json.loads(await stage.value("select failures::text from invariant_sweep"))
    return {failure["name"]: failure["offending"] for failure in told}


async def test_a_whole_tenant_gets_no_mark(db, database_url):
    stage = await play_calmly(db, database_url, MODERN)

    swept = await look(db)

    assert (swept.tenants, swept.broken, swept.is_complete) == (1, 0, True)
    assert swept.checked_rows > 0
    assert await failures_of(stage) == {}
    assert await red_marks(db) == []


@pytest.mark.parametrize("name", sorted(FOUND_BY_SWEEP))
async def test_what_breaks_is_found_at_the_next_look(db, admin_url, database_url, name):
    case = BREAKS[name]
    stage = await play_calmly(db, database_url, case.history)
    await look(db)

    await do_wrong(admin_url, *case.statements)
    await look(db, minute=1)

    assert name in await failures_of(stage)
    assert [(mark.tenant_id, mark.broken > 0) for mark in await red_marks(db)] == [(stage.tenant_id, True)]


async def test_the_mark_stays_until_the_row_is_whole_and_then_goes(db, admin_url, database_url):
    stage = await play_calmly(db, database_url, CHECKOUT)
    await do_wrong(admin_url, "update credit_lot set taken = 1")
    await look(db)
    await make_old(admin_url)

    await look(db, minute=5)
    still = await failures_of(stage)
    await do_wrong(admin_url, "update credit_lot set taken = 0")
    await look(db, minute=6)

    assert sorted(still) == ["credits_are_delivered", "lots_equal_their_movements"]
    assert await failures_of(stage) == {}
    assert await red_marks(db) == []


async def make_old(admin_url: str) -> None:
    """Let everything have happened before the span that is looked at twice."""
    await do_wrong(
        admin_url,
        "update purchase set touched_at = touched_at - interval '1 hour'",
        "update invariant_sweep set checked_through = clock_timestamp()",
    )


async def test_what_did_not_change_is_not_read_again(db, admin_url, database_url):
    await play_calmly(db, database_url, CHECKOUT)
    first = await look(db)
    await make_old(admin_url)

    second = await look(db, minute=5)

    assert first.checked_rows > 0
    assert (second.tenants, second.checked_rows) == (1, 0)


async def test_a_tenant_is_not_looked_at_twice_within_a_minute(db, database_url):
    await play_calmly(db, database_url, CHECKOUT)

    assert (await look(db)).tenants == 1
    assert (await look(db)).tenants == 0
    assert (await look(db, minute=1)).tenants == 1


async def test_workers_that_look_at_once_do_not_stand_in_each_others_way(db, database_url):
    for history in (CHECKOUT, MODERN, REFUNDS):
        await play_calmly(db, database_url, history)

    swept = await asyncio.gather(*(look(db) for _ in range(4)))

    assert sum(one.tenants for one in swept) >= 3
    assert sum(one.broken for one in swept) == 0


async def test_more_changes_than_fit_into_one_look_are_all_seen(db, admin_url, database_url, monkeypatch):
    stage = await play_calmly(db, database_url, FULL_REFUND)
    await do_wrong(admin_url, "update licence set activations = 1", "update payment set status = 'failed'")
    monkeypatch.setattr(looking, "CHANGES_MAX", 1)

    swept = await look(db)

    assert swept.is_complete
    assert {"activations_are_counted", "payments_are_booked"} <= (await failures_of(stage)).keys()


async def test_an_overspent_budget_is_told_and_continued(db, database_url, monkeypatch):
    for history in (CHECKOUT, MODERN, REFUNDS):
        await play_calmly(db, database_url, history)
    monkeypatch.setattr(looking, "BUDGET_S", -1.0)

    parts = [await look(db) for _ in range(3)]

    assert [(part.tenants, part.is_complete) for part in parts] == [(1, False)] * 3
    assert (await look(db)).tenants == 0


async def test_tenants_without_events_are_looked_at_in_turn(db, admin_url, database_url, monkeypatch):
    for history in (CHECKOUT, CHECKOUT, CHECKOUT):
        await play_calmly(db, database_url, history)
    await look(db)
    monkeypatch.setattr(looking, "IN_TURN", 1)
    # Their events came long ago: nothing says that something changed.
    counts = [(await look(db, minute=60 * n)).tenants for n in (1, 2, 3)]
    admin = await asyncpg.connect(admin_url)
    looked_at = await admin.fetch("select distinct date_trunc('hour', checked_at) from invariant_sweep")
    await admin.close()

    assert counts == [1, 1, 1]
    assert len(looked_at) == 3


_OLD = UUID(int=1)
_TELL = "insert into outbox (tenant_id, id, topic, subject, payload) select tenant_id, new_id(), 'told', '{}', '{{}}' from tenant"
_CUSTOMER = "insert into customer (tenant_id, id, gateway_account_id, gateway_ref, created_at) select tenant_id, new_id(), tenant_id, 'cus_a', now() from tenant"
_OLD_CLASS = _CLASS.format(booked=1, waiting=0).replace("new_id()", f"'{_OLD}'::uuid")
_OLD_BOOKING = _BOOKING.format(at="i.starts_at", paid_with="nothing").replace("new_id()", f"'{_OLD}'::uuid")
_OLD_COUPON = (
    f"insert into coupon (tenant_id, id, code, percent, used) select tenant_id, '{_OLD}', 'SPRING', 10, 1 from tenant"
)


_OLD_OF_COUPON = (_CUSTOMER, _OLD_COUPON, _OLD_CLASS, _OLD_BOOKING, f"update booking set coupon_id = '{_OLD}'")


@pytest.mark.parametrize(
    "case",
    [
        ((_OLD_CLASS,), ids.show(ids.CLASS, _OLD), "seats_counted_are_seats_booked"),
        (_OLD_OF_COUPON, ids.show(ids.BOOKING, _OLD), "coupons_counted_are_redeemed"),
    ],
    ids=["class", "coupon"],
)
async def test_what_is_told_of_an_old_class_or_booking_has_it_looked_at_though_no_payment_came(
    db, admin_url, database_url, monkeypatch, case
):
    statements, told, name = case
    stage = await set_stage(db, database_url)
    monkeypatch.setattr(looking, "IN_TURN", 0)
    await do_wrong(admin_url, *statements)
    untold = (await look(db)).tenants
    await do_wrong(admin_url, _TELL.format(told))

    await look(db, minute=1)

    assert untold == 0
    assert list(await failures_of(stage)) == [name]


async def test_one_tenants_mark_is_not_anothers(db, admin_url, database_url):
    broken = await play_calmly(db, database_url, CHECKOUT)
    whole = await play_calmly(db, database_url, CHECKOUT)
    await do_wrong(admin_url, f"update payment set status = 'failed' where tenant_id = '{broken.tenant_id}'")

    await look(db)

    assert "payments_are_booked" in await failures_of(broken)
    assert await failures_of(whole) == {}


def test_an_id_range_is_a_time_range():
    at = datetime.now(UTC)

    assert ids.least_at(at - timedelta(milliseconds=2)) < ids.new() < ids.least_at(at + timedelta(minutes=1))


# ---------------------------------------------------------------- what it costs
_MANY = 25_000

_GROW = """
create temp table numbered as
select n, uuid_in(md5('purchase' || n)::cstring) as purchase, uuid_in(md5('payment' || n)::cstring) as payment,
  uuid_in(md5('grant' || n)::cstring) as grant_id, uuid_in(md5('lot' || n)::cstring) as lot, uuid_in(md5('ent' || n)::cstring) as ent,
  uuid_in(md5('ltx' || n)::cstring) as ltx, uuid_in(md5('event' || n)::cstring) as event, uuid_in(md5('sub' || n)::cstring) as sub,
  a.tenant_id, a.id as account, c.id as customer, p.id as price
from generate_series(1, {many}) as n, gateway_account a, customer c, price p where p.lookup_key = 'course' and c.gateway_ref = 'cus_a'
"""

_ROWS = {
    "purchase": "(tenant_id, id, gateway_account_id, subscription_ref) select tenant_id, purchase, account, 'sub_' || n from numbered",
    "purchase_ref": "(tenant_id, gateway_account_id, ref, purchase_id) select tenant_id, account, 'payment:p' || n, purchase from numbered",
    "gateway_object": """(tenant_id, gateway_account_id, kind, ref, is_final, version_at, version_rank, version_tie, state, purchase_id, event_id)
        select tenant_id, account, 'payment', 'p' || n, false, now(), 0, 0, '{}', purchase, event from numbered""",
    "payment": """(tenant_id, id, gateway_account_id, gateway_ref, purchase_id, status, amount_minor, currency, created_at)
        select tenant_id, payment, account, 'p' || n, purchase, 'pending', 1, 'EUR', now() from numbered""",
    "refund": """(tenant_id, id, gateway_account_id, gateway_ref, purchase_id, payment_id, status, amount_minor, currency, created_at)
        select tenant_id, payment, account, 'r' || n, purchase, payment, 'failed', 1, 'EUR', now() from numbered""",
    "dispute": """(tenant_id, id, gateway_account_id, gateway_ref, purchase_id, payment_id, status, is_inquiry, amount_minor, currency, created_at)
        select tenant_id, payment, account, 'd' || n, purchase, payment, 'won', false, 1, 'EUR', now() from numbered""",
    "invoice": """(tenant_id, id, gateway_account_id, gateway_ref, purchase_id, status, total_minor, paid_minor, currency, lines, created_at)
        select tenant_id, payment, account, 'i' || n, purchase, 'open', 1, 0, 'EUR', '[]', now() from numbered""",
    "checkout_session": """(tenant_id, id, gateway_account_id, gateway_ref, purchase_id, mode, status, payment_status, created_at)
        select tenant_id, payment, account, 's' || n, purchase, 'payment', 'open', 'unpaid', now() from numbered""",
    "subscription": """(tenant_id, id, gateway_account_id, gateway_ref, status, created_at)
        select tenant_id, sub, account, 'sub_' || n, 'active', now() from numbered""",
    "fulfilment_grant": """(tenant_id, id, source_kind, source_id, price_id, position, kind, customer_id, quantity, spec, status, starts_at, event_id)
        select tenant_id, grant_id, 'purchase', purchase, price, 0, 'licence', customer, 1, '{}', 'active', now(), event from numbered""",
    "credit_lot": """(tenant_id, id, grant_id, customer_id, pool, granted, effective_at)
        select tenant_id, lot, grant_id, customer, 'classes', 1, now() from numbered""",
    "credit_movement": """(tenant_id, id, lot_id, customer_id, kind, amount, spend_id)
        select tenant_id, lot, lot, customer, 'granted', 1, lot from numbered""",
    "credit_spend": """(tenant_id, id, customer_id, pool, reference, amount)
        select tenant_id, lot, customer, 'classes', 'r' || n, 1 from numbered""",
    "entitlement": """(tenant_id, id, grant_id, customer_id, kind, key, status, starts_at)
        select tenant_id, ent, grant_id, customer, 'licence', 'x', 'active', now() from numbered""",
    "licence": """(tenant_id, id, entitlement_id, customer_id, key, product, status)
        select tenant_id, ent, ent, customer, 'k' || n, 'x', 'active' from numbered""",
    "licence_activation": "(tenant_id, id, licence_id, fingerprint) select tenant_id, ent, ent, 'f' from numbered",
    "ledger_transaction": """(tenant_id, id, gateway_account_id, source_kind, source_ref, sequence, event_id, occurred_at)
        select tenant_id, ltx, account, 'payment', 'p' || n, 0, event, now() from numbered""",
    "ledger_entry": "(tenant_id, transaction_id, account, currency, amount_minor) select tenant_id, ltx, 'sales', 'EUR', 1 from numbered",
    "gateway_event": """(tenant_id, id, gateway_account_id, gateway_event_id, type, occurred_at, body_sha256)
        select tenant_id, event, account, 'e' || n, 'x', now(), '' from numbered""",
    "gateway_event_outcome": """(tenant_id, event_id, run, outcome, attempts)
        select tenant_id, event, 0, 'applied', 1 from numbered""",
    "gateway_event_dead": """(tenant_id, event_id, reason, error, attempts, crashes)
        select tenant_id, event, 'crashed_worker', '', 1, 1 from numbered""",
    "gateway_event_queue": "(tenant_id, event_id, gateway_account_id, bucket) select tenant_id, event, account, 0 from numbered",
    "audit_record": """(tenant_id, id, actor, action, event_id, changes)
        select tenant_id, event, 'x', 'x', event, '{}' from numbered""",
    "class_instance": """(tenant_id, id, venue_id, title, credit_cost, local_date, local_start, time_zone, starts_at, ends_at, capacity)
        select tenant_id, lot, account, 'Flow', 1, '2099-01-05', '09:00', 'UTC', '2099-01-05T09:00Z', '2099-01-05T10:00Z', 9 from numbered""",
    "booking": """(tenant_id, id, number, customer_id, kind, class_id, service_id, tier_id, staff_id, venue_id, status, starts_at, ends_at,
          local_date, busy, source, paid_with, terms, snapshot, cancel_by, booked_by)
        select tenant_id, lot, translate(lpad(n::text, 7, '0'), '0123456789', 'ABCDEFGHJK'), customer, kind,
          case kind when 'class' then lot end, case kind when 'service' then lot end, lot, account, account, 'booked', at,
          at + interval '1 hour', '2099-01-05', tstzrange(at, at + interval '1 hour'), 'online', 'nothing', '{}', '{}', now(), 'operator'
        from numbered,
          lateral (select case when n % 2 = 0 then 'class' else 'service' end as kind, '2099-01-05T09:00Z'::timestamptz + n * interval '1 hour' as at)""",
    "waitlist_entry": """(tenant_id, id, class_id, customer_id, seq, status, joined_by)
        select tenant_id, lot, lot, customer, 1, 'waiting', 'operator' from numbered""",
    "booking_fee": """(tenant_id, id, booking_id, customer_id, kind, amount_minor, currency, status, grant_id, raised_by, opened_at, ended_at)
        select tenant_id, lot, lot, customer, 'no_show', 100, 'EUR', 'paid', grant_id, 'operator', now(), now() from numbered""",
    "credit_transfer": """(tenant_id, id, from_lot_id, into_lot_id, spend_id, from_customer_id, to_customer_id, amount, actor)
        select tenant_id, lot, lot, lot, lot, customer, lot, 1, 'operator' from numbered""",
    "seat_payment": """(tenant_id, grant_id, purchase_id, status)
        select tenant_id, grant_id, purchase, 'seated' from numbered""",
    "pack_refund": """(tenant_id, refund_id, payment_id, lot_id, status, amount_minor, currency, granted, used, unused, reserved_spend_id, asked_by)
        select tenant_id, payment, payment, lot, 'asked', 1, 'EUR', 2, 1, 1, lot, 'operator' from numbered""",
    "coupon": "(tenant_id, id, code, percent, used) select tenant_id, lot, 'C' || n, 10, 1 from numbered",
    "coupon_redemption": """(tenant_id, booking_id, coupon_id, customer_id, discount_minor, currency)
        select tenant_id, lot, lot, customer, 1, 'EUR' from numbered""",
    "outbox": "(tenant_id, id, topic, subject, payload) select tenant_id, event, 'x', 'pay_x', '{}' from numbered",
}

_CHANGED = (
    *("_PURCHASES", "_MOVEMENTS", "_SPENDS", "_ACTIVATIONS", "_TRANSACTIONS", "_EVENTS", "_EFFECTS"),
    *("_CLASSES", "_BOOKINGS", "_ENTRIES", "_COUPONS"),
)
_RELATED = (
    *("_SUBSCRIPTIONS_OF", "_SOURCES_OF", "_LOTS_OF", "_LICENCES_OF", "_EVENTS_OF"),
    *("_CLASSES_OF_BOOKINGS", "_CLASSES_OF_ENTRIES", "_COUPONS_OF_BOOKINGS"),
)


_NAMED = {
    Scope.purchase: "purchase",
    Scope.source: "purchase",
    Scope.lot: "lot",
    Scope.spend: "lot",
    Scope.licence: "ent",
    Scope.transaction: "ltx",
    Scope.event: "event",
    Scope.class_: "lot",
    Scope.booking: "lot",
    Scope.entry: "lot",
    Scope.coupon: "lot",
}
_PAGES_MAX = 40
"""Pages read for each id: a handful of index descents of four pages each. A table here has hundreds to thousands."""


def ids_of(scope: Scope, count: int) -> list[UUID]:
    return [UUID(md5(f"{_NAMED[scope]}{n}".encode()).hexdigest()) for n in range(1, count + 1)]


async def pages_read(connection, statement: str, parameters: list) -> int:
    told = json.loads(await connection.fetchval("explain (analyze, buffers, format json) " + statement, *parameters))
    plan = told[0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


async def test_every_statement_reads_what_changed_and_not_the_tables(db, admin_url, database_url):
    stage = await play_calmly(db, database_url, FULL_REFUND)
    grow = [f"insert into {table} {rows}" for table, rows in _ROWS.items()]
    await do_wrong(admin_url, _GROW.format(many=_MANY), *grow, "analyze")
    low, high = soon(-1), soon(0)
    asked = {name: (getattr(changes, name), [ids.least_at(low), ids.least_at(high), 5], 5) for name in _CHANGED}
    asked["_PURCHASES"] = (changes._PURCHASES, [low - timedelta(hours=1), high, 5], 5)
    asked |= {name: (getattr(changes, name), [ids_of(Scope.purchase, 5)], 5) for name in _RELATED}
    for invariant in INVARIANTS:
        given = [STANDING] if invariant.takes_standing else []
        if invariant.scope is Scope.whole:
            asked[invariant.name] = (invariant.statement(limit=20, scoped=True), given, 5)
        elif invariant.scope is not Scope.never:
            asked[invariant.name] = (
                invariant.statement(limit=10_000, scoped=True),
                [*given, ids_of(invariant.scope, 5)],
                5,
            )

    wasteful = {}
    async with connected(database_url) as connection, connection.transaction():
        await connection.execute(
            "select set_config('role', 'bursar_app', true), set_config('bursar.tenant', $1, true)", str(stage.tenant_id)
        )
        for name, (statement, parameters, count) in asked.items():
            pages = await pages_read(connection, statement, [stage.tenant_id, *parameters])
            if pages > count * _PAGES_MAX:  # at 25,000 rows the smallest table has more pages than this
                wasteful[name] = pages

    assert wasteful == {}


def scanned(plan: dict) -> list[str]:
    """Return the tables that a plan reads whole."""
    found = [plan["Relation Name"]] if plan["Node Type"] == "Seq Scan" else []
    return found + [table for part in plan.get("Plans", []) for table in scanned(part)]


async def test_finding_the_tenants_with_changes_probes_an_index_for_each(db, admin_url, database_url):
    await play_calmly(db, database_url, CHECKOUT)
    await do_wrong(
        admin_url,
        "insert into tenant (tenant_id, name) select gen_random_uuid(), 'many' from generate_series(1, 3000)",
        """insert into gateway_event (tenant_id, id, gateway_account_id, gateway_event_id, type, occurred_at, body_sha256)
        select tenant_id, gen_random_uuid(), tenant_id, 'e' || n, 'x', now(), '' from tenant, generate_series(1, 20) as n""",
        """insert into outbox (tenant_id, id, topic, subject, payload)
        select tenant_id, gen_random_uuid(), 'x', 'x', '{}' from tenant, generate_series(1, 20) as n""",
        "analyze",
    )

    async with connected(database_url) as connection, connection.transaction():
        await connection.execute("select set_config('role', 'bursar_engine', true)")
        given = (ids.least_at(soon(-3)), soon(-1))
        plan = json.loads(await connection.fetchval("explain (format json) " + looking._DUE, *given))[0]["Plan"]

    assert {"gateway_event", "outbox"}.isdisjoint(scanned(plan))
