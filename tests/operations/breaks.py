"""How to break each invariant by hand, as only a superuser can, and which row must then be named."""

from dataclasses import dataclass

from histories import (
    APART,
    CHECKOUT,
    DISPUTE_LOST,
    DISPUTE_WON,
    FULL_REFUND,
    MODERN,
    REFUNDS,
    SAME_SECOND,
    History,
)


@dataclass(frozen=True)
class Break:
    """history: what was told before. statements: what goes wrong ($1 in `named` is the tenant).

    named: finds the row that verify must show; prefix: of its public id, or empty where a text is shown.
    """

    history: History
    statements: tuple[str, ...]
    named: str
    prefix: str = ""


_OUT_OF_NOTHING = """
insert into credit_movement (tenant_id, id, lot_id, customer_id, kind, amount, spend_id)
select l.tenant_id, new_id(), l.id, l.customer_id, '{kind}', {amount}, s.id
from credit_lot l left join credit_spend s on s.tenant_id = l.tenant_id
"""

_JOB = """
insert into job (tenant_id, id, kind, key, idempotency_key, request, {columns})
select tenant_id, new_id(), 'tests.wait', gen_random_uuid()::text, gen_random_uuid(), '', {values} from tenant
"""

_SPEND = """
insert into credit_spend (tenant_id, id, customer_id, pool, reference, amount)
select tenant_id, new_id(), customer_id, pool, 'booking:1', 3 from credit_lot
"""

_CLASS = """
insert into class_instance (tenant_id, id, venue_id, title, credit_cost, local_date, local_start, time_zone, starts_at, ends_at, capacity,
  booked, waiting)
select tenant_id, new_id(), tenant_id, 'Flow', 1, '2099-01-05', '09:00', 'UTC', '2099-01-05T09:00Z', '2099-01-05T10:00Z', 9, {booked}, {waiting}
from tenant
"""
_BOOKING = """
insert into booking (tenant_id, id, number, customer_id, kind, class_id, venue_id, status, starts_at, ends_at, local_date, source, paid_with,
  terms, snapshot, cancel_by, booked_by)
select c.tenant_id, new_id(), 'ABCDEFG', c.id, 'class', i.id, i.venue_id, 'booked', {at}, i.ends_at, i.local_date, 'online', '{paid_with}',
  '{{}}', '{{}}', now(), 'operator' from customer c, class_instance i
"""
_APPOINTMENT = """
insert into booking (tenant_id, id, number, customer_id, kind, service_id, tier_id, staff_id, venue_id, status, starts_at, ends_at,
  local_date, busy, source, paid_with, terms, snapshot, cancel_by, booked_by)
select c.tenant_id, new_id(), '{number}', c.id, 'service', c.tenant_id, c.tenant_id, c.tenant_id, c.tenant_id, 'booked', t.at,
  t.at + interval '1 hour', '2099-01-05', tstzrange(t.at, t.at + interval '1 hour'), 'online', 'nothing', '{{}}', '{{}}', now(), 'operator'
from customer c, (select '2099-01-05T09:00Z'::timestamptz + interval '{minutes} minutes' as at) as t
"""
_ENTRY = """
insert into waitlist_entry (tenant_id, id, class_id, customer_id, seq, status, joined_by)
select tenant_id, new_id(), new_id(), id, 1, 'promoted', 'operator' from customer
"""
_CLASS_ID = "select id from class_instance where tenant_id = $1"
_BOOKING_ID = "select id from booking where tenant_id = $1"

_SAGA = """
insert into saga (tenant_id, id, kind, state, gateway_account_id, subject, plan, amount_minor, currency, actor, ended_at)
select tenant_id, new_id(), 'tests.two_steps', '{state}', id, 'sub_1', '{{}}', 99999, 'EUR', 'operator', {ended} from gateway_account
"""
_SAGA_ID = "select id from saga where tenant_id = $1"
_CALL = """
insert into gateway_call (tenant_id, id, gateway_account_id, key, operation, subject, asker, actor, request, state, ref, ended_at)
select tenant_id, new_id(), id, 'k', 'create_refund', 're_1', '', 'operator', 'x', '{state}', {ref}, now() from gateway_account
"""
_STEP = """
insert into saga_step (tenant_id, saga_id, number, name, state, call_id, ended_at)
select s.tenant_id, s.id, 1, '{name}', 'done', c.id, now() from saga s, gateway_call c
"""

_DUPLICATE = """
do $$ declare columns text; begin
  select string_agg(quote_ident(attname), ', ') into columns from pg_attribute
  where attrelid = '{table}'::regclass and attnum > 0 and not attisdropped and attgenerated = '';
  execute 'insert into {table} (' || columns || ') select ' || columns || ' from (
    select (jsonb_populate_record(null::{table}, to_jsonb(t) || jsonb_build_object(''id'', gen_random_uuid()))).*
    from (select * from {table} order by id limit 1) t) as twin';
end $$
"""


_ONCE_IN = {
    "gateway_event": (CHECKOUT, "evt", "gateway_event_once"),
    "customer": (CHECKOUT, "cus", "customer_once"),
    "payment": (CHECKOUT, "pay", "payment_once"),
    "refund": (REFUNDS, "re", "refund_once"),
    "dispute": (DISPUTE_WON, "dp", "dispute_once"),
    "invoice": (MODERN, "inv", "invoice_once"),
    "subscription": (MODERN, "sub", "subscription_once"),
    "checkout_session": (CHECKOUT, "cs", "checkout_session_once"),
    "payment_method": (SAME_SECOND, "pm", "payment_method_once"),
    "fulfilment_grant": (CHECKOUT, "gra", "fulfilment_grant_once"),
    "credit_lot": (CHECKOUT, "lot", "credit_lot_once"),
    "entitlement": (MODERN, "ent", "entitlement_once"),
    "ledger_transaction": (CHECKOUT, "ltx", "ledger_transaction_once"),
}


def _twin(table: str) -> Break:
    history, prefix, constraint = _ONCE_IN[table]
    copy = _DUPLICATE.format(table=table)
    if table == "customer":
        copy = """
        insert into customer (tenant_id, id, gateway_account_id, gateway_ref, created_at)
        select tenant_id, gen_random_uuid(), gateway_account_id, gateway_ref, created_at from customer"""
    if table == "credit_lot":
        copy = """
        insert into credit_lot (tenant_id, id, grant_id, customer_id, pool, granted, effective_at)
        select tenant_id, gen_random_uuid(), grant_id, customer_id, pool, granted, effective_at from credit_lot"""
    return Break(
        history,
        (f"alter table {table} drop constraint {constraint}", copy),
        f"select id from {table} where tenant_id = $1 order by id limit 1",
        prefix,
    )


_LICENCE_TWIN = """
insert into licence (tenant_id, id, entitlement_id, customer_id, key, product, activations_max, status)
select tenant_id, gen_random_uuid(), entitlement_id, customer_id, 'TWIN', product, activations_max, status from licence
"""

_TRANSFER = """
insert into credit_transfer (tenant_id, id, from_lot_id, into_lot_id, spend_id, from_customer_id, to_customer_id, amount, actor)
select s.tenant_id, new_id(), l.id, l.id, s.id, s.customer_id, new_id(), 2, 'operator' from credit_spend s, credit_lot l limit 1
"""
_FEE = """
insert into booking_fee (tenant_id, id, booking_id, customer_id, kind, amount_minor, currency, status, grant_id, raised_by, opened_at, ended_at)
select tenant_id, new_id(), id, customer_id, 'no_show', 100, 'EUR', '{status}', case when '{status}' = 'paid' then (select id from fulfilment_grant limit 1) end, 'operator', now(),
  case when '{status}' <> 'open' then now() end from booking
"""

BREAKS = {
    "ledger_transactions_balance": Break(
        CHECKOUT,
        ("update ledger_entry set amount_minor = amount_minor + 1 where account like 'gateway:%'",),
        "select id from ledger_transaction where tenant_id = $1 order by id limit 1",
        "ltx",
    ),
    "ledger_balances_equal_entries": Break(
        CHECKOUT, ("update ledger_balance set balance_minor = 1 where account = 'sales'",), "select 'sales'"
    ),
    "ledger_balances_sum_to_zero": Break(
        CHECKOUT, ("update ledger_balance set balance_minor = 1 where account = 'sales'",), "select 'EUR'"
    ),
    "payments_are_booked": Break(
        CHECKOUT, ("update payment set status = 'failed'",), "select id from payment where tenant_id = $1", "pay"
    ),
    "refunds_are_booked": Break(
        REFUNDS,
        ("update refund set amount_minor = 1251 where gateway_ref = 're_1'",),
        "select id from refund where tenant_id = $1 and gateway_ref = 're_1'",
        "re",
    ),
    "disputes_are_booked": Break(
        DISPUTE_LOST,
        ("update dispute set withdrawn_minor = 3999",),
        "select id from dispute where tenant_id = $1",
        "dp",
    ),
    "postings_have_a_source": Break(
        CHECKOUT,
        ("delete from purchase_ref where ref = 'payment:pi_1'",),
        "select id from ledger_transaction where tenant_id = $1 order by id limit 1",
        "ltx",
    ),
    "purchases_sum_their_payments": Break(
        CHECKOUT, ("update purchase set paid_minor = 4999",), "select id from purchase where tenant_id = $1", "pur"
    ),
    "payments_count_their_refunds": Break(
        REFUNDS, ("update payment set refunded_minor = 1249",), "select id from payment where tenant_id = $1", "pay"
    ),
    "refunds_within_payments": Break(
        CHECKOUT, ("update payment set refunded_minor = 5001",), "select id from payment where tenant_id = $1", "pay"
    ),
    "payments_are_tallied": Break(
        CHECKOUT, ("update payment_tally set payments = payments + 1 where status = 'succeeded'",), "select 'succeeded'"
    ),
    "paid_lines_have_exactly_their_grants": Break(
        CHECKOUT,
        ("update fulfilment_grant set quantity = 2",),
        "select id from fulfilment_grant where tenant_id = $1",
        "gra",
    ),
    "purchase_grants_follow_the_money": Break(
        REFUNDS,
        ("update fulfilment_grant set taken_minor = 0",),
        "select id from fulfilment_grant where tenant_id = $1",
        "gra",
    ),
    "subscription_grants_are_of_its_price": Break(
        MODERN,
        ("update fulfilment_grant set position = 0 where source_kind = 'subscription'",),
        "select id from fulfilment_grant where tenant_id = $1 and source_kind = 'subscription'",
        "gra",
    ),
    "subscriptions_have_their_grants": Break(
        MODERN,
        ("update fulfilment_grant set status = 'superseded' where source_kind = 'subscription'",),
        "select id from subscription where tenant_id = $1",
        "sub",
    ),
    "subscription_grants_follow_the_money": Break(
        MODERN,
        ("update subscription set status = 'paused'",),
        "select id from fulfilment_grant where tenant_id = $1 and source_kind = 'subscription'",
        "gra",
    ),
    "unmatched_money_grants_nothing": Break(
        CHECKOUT,
        ("update purchase set lines = '[]', unmatched_reason = 'nothing names it'",),
        "select id from purchase where tenant_id = $1",
        "pur",
    ),
    "absorbed_purchases_own_nothing": Break(
        CHECKOUT,
        ("update purchase set merged_into = gen_random_uuid()",),
        "select id from purchase where tenant_id = $1",
        "pur",
    ),
    "credits_are_delivered": Break(
        REFUNDS, ("update credit_lot set taken = taken + 1",), "select id from credit_lot where tenant_id = $1", "lot"
    ),
    "entitlements_are_delivered": Break(
        FULL_REFUND,
        ("update entitlement set status = 'active'",),
        "select id from entitlement where tenant_id = $1 and kind = 'licence'",
        "ent",
    ),
    "licences_are_delivered": Break(
        FULL_REFUND, ("update licence set status = 'active'",), "select id from licence where tenant_id = $1", "lic"
    ),
    "lots_stay_within_their_grant": Break(
        CHECKOUT,
        ("alter table credit_lot drop constraint credit_lot_never_over", "update credit_lot set spent = 11"),
        "select id from credit_lot where tenant_id = $1",
        "lot",
    ),
    "lots_equal_their_movements": Break(
        CHECKOUT,
        (_OUT_OF_NOTHING.format(kind="granted", amount=1),),
        "select id from credit_lot where tenant_id = $1",
        "lot",
    ),
    "spends_equal_their_movements": Break(
        CHECKOUT,
        (_SPEND, _OUT_OF_NOTHING.format(kind="spent", amount=-2)),
        "select id from credit_spend where tenant_id = $1",
        "spd",
    ),
    "activations_are_counted": Break(
        FULL_REFUND, ("update licence set activations = 1",), "select id from licence where tenant_id = $1", "lic"
    ),
    "calls_have_an_outcome_or_a_job": Break(
        CHECKOUT,
        (
            """insert into gateway_call (tenant_id, id, gateway_account_id, key, operation, subject, asker, actor, request, created_at)
            select tenant_id, new_id(), id, 'k', 'create_refund', 're_1', '', 'operator', 'x', now() - interval '1 h' from gateway_account""",
        ),
        "select id from gateway_call where tenant_id = $1",
        "gwc",
    ),
    "open_sagas_move_or_wait": Break(CHECKOUT, (_SAGA.format(state="running", ended="null"),), _SAGA_ID, "sag"),
    "saga_steps_are_as_their_calls": Break(
        CHECKOUT,
        (
            _SAGA.format(state="running", ended="null"),
            _CALL.format(state="refused", ref="null"),
            _STEP.format(name="refund"),
        ),
        _SAGA_ID,
        "sag",
    ),
    "sagas_end_whole": Break(
        CHECKOUT,
        (
            _SAGA.format(state="compensated", ended="now()"),
            _CALL.format(state="succeeded", ref="null"),
            _STEP.format(name="change"),
        ),
        _SAGA_ID,
        "sag",
    ),
    "sagas_give_back_what_they_said": Break(
        REFUNDS,
        (
            _SAGA.format(state="completed", ended="now()"),
            _CALL.format(state="succeeded", ref="(select min(gateway_ref) from refund)"),
            _STEP.format(name="refund"),
        ),
        _SAGA_ID,
        "sag",
    ),
    "open_changes_have_an_open_call": Break(
        MODERN,
        (
            _CALL.format(state="refused", ref="null"),
            """insert into subscription_change (tenant_id, id, subscription_id, call_id, kind, actor)
            select s.tenant_id, new_id(), s.id, c.id, 'pause', 'operator' from subscription s, gateway_call c""",
        ),
        "select id from subscription where tenant_id = $1",
        "sub",
    ),
    "promises_are_of_asked_refunds": Break(
        CHECKOUT,
        ("update payment set promisable_minor = 1, promised_minor = 1",),
        "select id from payment where tenant_id = $1",
        "pay",
    ),
    "asked_refunds_are_made_once": Break(
        REFUNDS,
        ("""update gateway_object set state = state || '{"bursar_refund": "re_x"}' where kind = 'refund'""",),
        "select 're_x'",
    ),
    "events_are_in_one_place": Break(
        CHECKOUT,
        (
            "delete from gateway_event_outcome where event_id = (select id from gateway_event where gateway_event_id = 'evt_2')",
        ),
        "select id from gateway_event where tenant_id = $1 and gateway_event_id = 'evt_2'",
        "evt",
    ),
    "dead_events_were_not_applied": Break(
        CHECKOUT,
        (
            """insert into gateway_event_dead (tenant_id, event_id, reason, error, attempts, crashes, at)
            select tenant_id, id, 'retries_exhausted', 'no', 1, 0, '2000-01-01' from gateway_event where gateway_event_id = 'evt_1'""",
        ),
        "select id from gateway_event where tenant_id = $1 and gateway_event_id = 'evt_1'",
        "evt",
    ),
    "applied_events_are_audited": Break(
        CHECKOUT,
        ("delete from audit_record where event_id = (select id from gateway_event where gateway_event_id = 'evt_3')",),
        "select id from gateway_event where tenant_id = $1 and gateway_event_id = 'evt_3'",
        "evt",
    ),
    "held_jobs_wait_for_their_lane": Break(
        CHECKOUT,
        (
            _JOB.format(
                columns="lane, state, run_at, created_at",
                values="'sub_1', 'held', now(), now() - interval '2 minutes'",
            ),
        ),
        "select id from job where tenant_id = $1",
        "job",
    ),
    "leases_end": Break(
        CHECKOUT,
        tuple(
            _JOB.format(
                columns="state, worker, started_at, run_at",
                values=f"'running', 'w', now() - interval '{age}', now() - interval '{age}' + interval '1 minute'",
            )
            for age in ("1 hour", "0 hours")
        ),
        "select id from job where tenant_id = $1 order by run_at limit 1",
        "job",
    ),
    "audit_records_are_sealed": Break(
        CHECKOUT,
        (
            """update audit_record set at = at - interval '11 minutes'
            where written_in = (select min(written_in) from audit_record)""",
        ),
        "select id from audit_record where tenant_id = $1 order by at limit 1",
        "aud",
    ),
    "effects_have_an_applied_event": Break(
        CHECKOUT,
        ("update gateway_event_outcome set outcome = 'ignored'",),
        "select id from ledger_transaction where tenant_id = $1 order by id limit 1",
        "ltx",
    ),
    "objects_belong_to_their_purchase": Break(
        CHECKOUT,
        ("update purchase_ref set purchase_id = gen_random_uuid() where ref = 'charge:ch_1'",),
        "select 'ch_1'",
    ),
    "names_lead_to_a_purchase": Break(
        CHECKOUT, ("update purchase set merged_into = gen_random_uuid()",), "select 'charge:ch_1'"
    ),
    "refunds_say_what_was_reported": Break(
        REFUNDS,
        ("update refund set status = 'succeeded' where gateway_ref = 're_2'",),
        "select id from refund where tenant_id = $1 and gateway_ref = 're_2'",
        "re",
    ),
    "disputes_say_what_was_reported": Break(
        DISPUTE_WON, ("update dispute set status = 'lost'",), "select id from dispute where tenant_id = $1", "dp"
    ),
    "invoices_say_what_was_reported": Break(
        MODERN, ("update invoice set status = 'open'",), "select id from invoice where tenant_id = $1", "inv"
    ),
    "checkout_sessions_say_what_was_reported": Break(
        CHECKOUT,
        ("update checkout_session set payment_status = 'unpaid'",),
        "select id from checkout_session where tenant_id = $1",
        "cs",
    ),
    "payments_are_of_reported_objects": Break(
        APART,
        ("update payment set gateway_ref = 'pi_unheard_of' where gateway_ref = 'pi_9'",),
        "select id from payment where tenant_id = $1 and gateway_ref = 'pi_unheard_of'",
        "pay",
    ),
    "subscriptions_say_what_was_reported": Break(
        MODERN,
        ("update subscription set status = 'canceled'",),
        "select id from subscription where tenant_id = $1",
        "sub",
    ),
    "reported_subscriptions_are_known": Break(MODERN, ("delete from subscription",), "select 'sub_1'"),
    "credit_spends_exist_once": Break(
        CHECKOUT,
        ("alter table credit_spend drop constraint credit_spend_once", _SPEND, _SPEND),
        "select id from credit_spend where tenant_id = $1 order by id limit 1",
        "spd",
    ),
    "seats_counted_are_seats_booked": Break(CHECKOUT, (_CLASS.format(booked=1, waiting=0),), _CLASS_ID, "cls"),
    "waiting_is_counted": Break(CHECKOUT, (_CLASS.format(booked=0, waiting=1),), _CLASS_ID, "cls"),
    "credits_spent_are_of_bookings": Break(
        CHECKOUT,
        (_CLASS.format(booked=1, waiting=0), _BOOKING.format(at="i.starts_at", paid_with="credits")),
        _BOOKING_ID,
        "bkg",
    ),
    "spends_for_bookings_are_theirs": Break(
        CHECKOUT, (_SPEND,), "select id from credit_spend where tenant_id = $1", "spd"
    ),
    "bookings_are_as_their_class": Break(
        CHECKOUT,
        (
            _CLASS.format(booked=1, waiting=0),
            _BOOKING.format(at="i.starts_at - interval '1 hour'", paid_with="nothing"),
        ),
        _BOOKING_ID,
        "bkg",
    ),
    "no_booking_is_sure_unpaid": Break(
        CHECKOUT,
        (
            _CLASS.format(booked=1, waiting=0),
            _BOOKING.format(at="i.starts_at", paid_with="money"),
            "update booking set due_minor = 100",
        ),
        _BOOKING_ID,
        "bkg",
    ),
    "coupons_counted_are_redeemed": Break(
        CHECKOUT,
        (
            "insert into coupon (tenant_id, id, code, percent, used) select tenant_id, new_id(), 'SPRING', 10, 1 from tenant",
        ),
        "select id from coupon where tenant_id = $1",
        "cpn",
    ),
    "discounts_are_of_coupons": Break(
        CHECKOUT,
        (
            _CLASS.format(booked=1, waiting=0),
            _BOOKING.format(at="i.starts_at", paid_with="nothing"),
            "update booking set price_minor = 100, due_minor = 101",
        ),
        _BOOKING_ID,
        "bkg",
    ),
    "taxes_are_of_prices": Break(
        CHECKOUT,
        (
            _CLASS.format(booked=1, waiting=0),
            _BOOKING.format(at="i.starts_at", paid_with="nothing"),
            # 247.5 is 248; the database takes either, because both are the nearest.
            "update booking set price_minor = 3000, due_minor = 3247, tax_bp = 825, tax_included = false, tax_minor = 247",
        ),
        _BOOKING_ID,
        "bkg",
    ),
    "deposits_are_of_prices": Break(
        CHECKOUT,
        (
            _CLASS.format(booked=1, waiting=0),
            _BOOKING.format(at="i.starts_at", paid_with="nothing"),
            "update booking set price_minor = 1001, due_minor = 501, deposit_percent = 50",  # 500.5 is 500
        ),
        _BOOKING_ID,
        "bkg",
    ),
    "part_payments_add_up": Break(
        CHECKOUT,
        (
            _CLASS.format(booked=1, waiting=0),
            _BOOKING.format(at="i.starts_at", paid_with="nothing"),
            "alter table booking drop constraint booking_part_payment",
            """update booking set missing_credits = 2, snapshot = '{"credit_cost": 1}'""",
        ),
        _BOOKING_ID,
        "bkg",
    ),
    "money_for_seats_is_seated_or_returns": Break(
        CHECKOUT,
        ("update fulfilment_grant set kind = 'seat'",),
        "select id from fulfilment_grant where tenant_id = $1",
        "gra",
    ),
    "money_for_seats_moves": Break(
        CHECKOUT,
        (
            """insert into seat_payment (tenant_id, grant_id, purchase_id, status, due_at)
            select tenant_id, id, source_id, 'waiting', now() - interval '2 days' from fulfilment_grant""",
        ),
        "select id from fulfilment_grant where tenant_id = $1",
        "gra",
    ),
    "refunded_packs_are_used_up": Break(
        REFUNDS,
        (
            _SPEND,
            """insert into pack_refund (tenant_id, refund_id, payment_id, lot_id, status, amount_minor, currency, granted, used, unused,
              reserved_spend_id, asked_by)
            select r.tenant_id, r.id, r.payment_id, l.id, 'asked', 1, 'EUR', 10, 6, 4, s.id, 'operator'
            from refund r, credit_lot l, credit_spend s where r.gateway_ref = 're_1'""",
        ),
        "select id from refund where tenant_id = $1 and gateway_ref = 're_1'",
        "re",
    ),
    "transferred_credits_are_conserved": Break(
        CHECKOUT,
        (_SPEND, _TRANSFER),
        "select id from credit_spend where tenant_id = $1",
        "spd",
    ),
    "fees_are_of_offences": Break(
        CHECKOUT,
        (
            _CLASS.format(booked=1, waiting=0),
            _BOOKING.format(at="i.starts_at", paid_with="nothing"),
            _FEE.format(status="open"),
        ),
        "select id from booking_fee where tenant_id = $1",
        "fee",
    ),
    "paid_fees_have_their_money": Break(
        CHECKOUT,
        (
            _CLASS.format(booked=1, waiting=0),
            _BOOKING.format(at="i.starts_at", paid_with="nothing"),
            _FEE.format(status="paid"),
        ),
        "select id from booking_fee where tenant_id = $1",
        "fee",
    ),
    "staff_give_one_appointment_at_a_time": Break(
        CHECKOUT,
        (
            "alter table booking drop constraint booking_staff_once",
            _APPOINTMENT.format(number="ABCDEFG", minutes=0),
            _APPOINTMENT.format(number="ABCDEFH", minutes=59),
        ),
        f"{_BOOKING_ID} order by id limit 1",
        "bkg",
    ),
    "promoted_entries_have_their_booking": Break(
        CHECKOUT, (_ENTRY,), "select id from waitlist_entry where tenant_id = $1", "wle"
    ),
    "licences_exist_once": Break(
        FULL_REFUND,
        ("alter table licence drop constraint licence_entitlement_once", _LICENCE_TWIN),
        "select id from licence where tenant_id = $1 order by id limit 1",
        "lic",
    ),
} | {f"{table}s_exist_once": _twin(table) for table in _ONCE_IN}
