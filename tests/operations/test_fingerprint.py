"""The fingerprint: equal for equal truth, whatever the order and the accidents; different for any difference of substance."""

import pytest
from histories import APART, CHECKOUT, DISPUTE_WON, DODO_SALE, FULL_REFUND, MODERN, REFUNDS, SAME_SECOND
from scene import connected, play, play_calmly
from test_verify import do_wrong

from bursar.kernel import ids
from bursar.operations.canonical import LINES
from bursar.operations.fingerprint import fingerprint
from bursar.operations.snapshots import TenantUnknown

pytestmark = pytest.mark.anyio

_SPEND = """
insert into credit_spend (tenant_id, id, customer_id, pool, reference, amount)
select tenant_id, gen_random_uuid(), customer_id, pool, 'booking:1', 3 from credit_lot
"""

_CLASS = """
insert into class_instance (tenant_id, id, venue_id, title, credit_cost, local_date, local_start, time_zone, starts_at, ends_at, capacity)
select tenant_id, gen_random_uuid(), gen_random_uuid(), 'Flow', 1, '2099-01-05', '09:00', 'UTC', '2099-01-05T09:00Z', '2099-01-05T10:00Z', 9
from tenant
"""
_BOOKING = """
insert into booking (tenant_id, id, number, customer_id, kind, class_id, venue_id, status, starts_at, ends_at, local_date, source, paid_with,
  terms, snapshot, cancel_by, booked_by)
select tenant_id, gen_random_uuid(), 'ABCDEFG', id, 'class', gen_random_uuid(), gen_random_uuid(), 'booked', now(), now(), now(), 'online', 'nothing',
  '{}', '{}', now(), 'operator' from customer
"""
_ENTRY = """
insert into waitlist_entry (tenant_id, id, class_id, customer_id, seq, status, joined_by)
select tenant_id, gen_random_uuid(), gen_random_uuid(), id, 1, 'waiting', 'operator' from customer
"""

_POLICY = """
insert into booking_policy (tenant_id, id, name, terms) select tenant_id, gen_random_uuid(), 'House', '{"cancel_minutes": 60}' from tenant
"""

_SERVICE = "insert into service (tenant_id, id, name) select tenant_id, tenant_id, 'Massage' from tenant"
_TIER = f"""
{_SERVICE};
insert into tier (tenant_id, id, service_id, name, duration_min) select tenant_id, tenant_id, tenant_id, 'An hour', 60 from tenant
"""
_SEAT = """
insert into seat_payment (tenant_id, grant_id, purchase_id, status) select tenant_id, id, source_id, 'waiting' from fulfilment_grant
"""
_PACK_REFUND = """
insert into pack_refund (tenant_id, refund_id, payment_id, lot_id, status, amount_minor, currency, granted, used, unused, reserved_spend_id, asked_by)
select r.tenant_id, r.id, r.payment_id, l.id, 'asked', 1, 'EUR', 2, 1, 1, r.id, 'operator' from refund r, credit_lot l limit 1
"""
_FEE = """
insert into booking_fee (tenant_id, id, booking_id, customer_id, kind, amount_minor, currency, raised_by, opened_at)
select tenant_id, gen_random_uuid(), gen_random_uuid(), id, 'no_show', 100, 'EUR', 'operator', now() from customer
"""

CHANGES = {
    "service": (CHECKOUT, _SERVICE),
    "tier": (CHECKOUT, _TIER),
    "seat_payment": (CHECKOUT, _SEAT),
    "pack_refund": (REFUNDS, _PACK_REFUND),
    "booking_policy": (CHECKOUT, _POLICY),
    "booking_rule": (
        CHECKOUT,
        "insert into booking_rule (tenant_id, rule, is_on) select tenant_id, 'no_overlap', false from tenant",
    ),
    "coupon": (
        CHECKOUT,
        "insert into coupon (tenant_id, id, code, percent) select tenant_id, gen_random_uuid(), 'SPRING', 10 from tenant",
    ),
    "class_instance": (CHECKOUT, _CLASS),
    "booking": (CHECKOUT, _BOOKING),
    "booking_fee": (CHECKOUT, _FEE),
    "waitlist_entry": (CHECKOUT, _ENTRY),
    "customer": (MODERN, "update customer set email = 'other@example.com'"),
    "purchase": (CHECKOUT, "update purchase set lines = jsonb_set(lines, '{0,quantity}', '2')"),
    "payment": (CHECKOUT, "update payment set amount_minor = amount_minor + 1"),
    "refund": (REFUNDS, "update refund set status = 'pending' where gateway_ref = 're_2'"),
    "dispute": (DISPUTE_WON, "update dispute set due_by = now()"),
    "invoice": (MODERN, "update invoice set lines = jsonb_set(lines, '{0,quantity}', '9')"),
    "subscription": (MODERN, "update subscription set current_period_end = current_period_end + interval '1 second'"),
    "checkout_session": (CHECKOUT, "update checkout_session set amount_minor = 1"),
    "payment_tally": (CHECKOUT, "update payment_tally set payments = payments + 1"),
    "payment_method": (SAME_SECOND, "update payment_method set last4 = '0000'"),
    "fulfilment_grant": (CHECKOUT, "update fulfilment_grant set quantity = 2"),
    "credit_lot": (CHECKOUT, "update credit_lot set expires_at = now()"),
    "credit_spend": (CHECKOUT, _SPEND),
    "entitlement": (MODERN, "update entitlement set amount_max = 7"),
    "licence": (DODO_SALE, "update licence set key = 'OTHER'"),
    "ledger_entry": (CHECKOUT, "update ledger_entry set amount_minor = amount_minor * 2"),
    "ledger_balance": (CHECKOUT, "update ledger_balance set balance_minor = balance_minor + 1"),
    "gateway_object": (
        CHECKOUT,
        "update gateway_object set state = state || '{\"amount_minor\": 1}' where kind = 'charge'",
    ),
    "gateway_event": (CHECKOUT, "update gateway_event_outcome set outcome = 'ignored'"),
}

ACCIDENTS = {
    "when a customer's row was opened": (MODERN, "update customer set created_at = now()"),
    "which event came first": (CHECKOUT, "update fulfilment_grant set event_id = gen_random_uuid()"),
    "which event told the newest state": (CHECKOUT, "update gateway_object set event_id = gen_random_uuid()"),
    "when an event arrived": (CHECKOUT, "update gateway_event set received_at = now()"),
    "how often an event was tried": (CHECKOUT, "update gateway_event_outcome set attempts = 7"),
    "how often an event was applied": (
        CHECKOUT,
        "insert into gateway_event_outcome (tenant_id, event_id, run, outcome, attempts) select tenant_id, event_id, 9, 'applied', 1 from gateway_event_outcome",
    ),
    "a key that we made": (FULL_REFUND, "update licence set key = 'OTHER'"),
    "what the tenant is called": (CHECKOUT, "update tenant set name = 'Other'"),
    "a customer nobody refers to": (
        APART,
        """insert into customer (tenant_id, id, gateway_account_id, gateway_ref, created_at)
        select tenant_id, gen_random_uuid(), id, 'guest:pi_0', now() from gateway_account""",
    ),
    "a payment that another one replaced": (
        CHECKOUT,
        """insert into payment (tenant_id, id, gateway_account_id, gateway_ref, purchase_id, status, amount_minor, currency, superseded_by, created_at)
        select tenant_id, gen_random_uuid(), gateway_account_id, 'cs_1', purchase_id, 'succeeded', 1, 'EUR', id, now() from payment""",
    ),
}


def test_every_table_has_a_change_that_must_show():
    assert sorted(CHANGES) == sorted(LINES)


@pytest.mark.parametrize("table", CHANGES)
async def test_a_change_of_substance_shows_in_its_table(db, admin_url, database_url, table):
    history, statement = CHANGES[table]
    stage = await play_calmly(db, database_url, history)
    async with connected(database_url) as connection:
        before = await fingerprint(connection, stage.tenant_id)

        await do_wrong(admin_url, statement)

        after = await fingerprint(connection, stage.tenant_id)
    assert before.tables[table].rows > 0 or "insert" in statement
    assert table in before.differing(after)
    assert before.fingerprint != after.fingerprint


@pytest.mark.parametrize("accident", ACCIDENTS)
async def test_an_accident_of_arrival_does_not_show(db, admin_url, database_url, accident):
    history, statement = ACCIDENTS[accident]
    stage = await play_calmly(db, database_url, history)
    async with connected(database_url) as connection:
        before = await fingerprint(connection, stage.tenant_id)

        await do_wrong(admin_url, statement)

        assert (await fingerprint(connection, stage.tenant_id)) == before


async def test_two_tenants_with_the_same_reports_are_equal_and_with_others_are_not(db, database_url):
    one = await play_calmly(db, database_url, CHECKOUT)
    same = await play(db, database_url, CHECKOUT, [[4, 3], [2, 1, 0], [4]])
    fewer = await play(db, database_url, CHECKOUT, [[0], [1], [2], [3]])
    async with connected(database_url) as connection:
        prints = [await fingerprint(connection, stage.tenant_id) for stage in (one, same, fewer)]

    assert prints[0] == prints[1]
    assert prints[0].differing(prints[2]) == ["gateway_object", "gateway_event"]


async def test_the_report_names_every_table_with_rows_and_digest(db, database_url):
    stage = await play_calmly(db, database_url, CHECKOUT)
    async with connected(database_url) as connection:
        told = (await fingerprint(connection, stage.tenant_id)).report()

    assert told["fingerprint"].startswith("sha256:")
    assert list(told["tables"]) == list(LINES)
    assert told["tables"]["payment"]["rows"] == 1
    assert len(told["tables"]["payment"]["sha256"]) == 64


async def test_a_session_in_another_zone_sees_the_same(db, database_url):
    stage = await play_calmly(db, database_url, MODERN)
    async with connected(database_url) as connection:
        before = await fingerprint(connection, stage.tenant_id)
        await connection.execute("set timezone = 'Asia/Kathmandu'")
        await connection.execute("set datestyle = 'German'")

        assert (await fingerprint(connection, stage.tenant_id)) == before


async def test_an_unknown_tenant_has_no_fingerprint(database_url):
    async with connected(database_url) as connection:
        with pytest.raises(TenantUnknown):
            await fingerprint(connection, ids.new())
