"""Each table as canonical lines: the statements behind the fingerprint.

Every statement returns a column `line`, sorted by code point, one line for each row that is part of the present truth.
Not part of it: superseded payments and grants, absorbed purchases, and customers and subscriptions that only an older
report named.
"""

from typing import Final

_NAMES: Final = """
with account as (
  select id, gateway || ' ' || row_number() over (partition by gateway order by created_at, id) as name
  from gateway_account where tenant_id = $1
), price_name as (
  select p.id, coalesce('key ' || p.lookup_key,
    'ref ' || (select min(a.name || ' ' || r.ref) from price_gateway_ref r join account a on a.id = r.gateway_account_id
               where r.tenant_id = $1 and r.price_id = p.id),
    jsonb_build_array(p.amount_minor, p.currency, p.interval, p.interval_count, p.grants)::text) as name
  from price p where p.tenant_id = $1
), customer_name as (
  select c.id, a.name || ' ' || c.gateway_ref as name
  from customer c join account a on a.id = c.gateway_account_id where c.tenant_id = $1
), purchase_name as (
  select r.purchase_id as id, min(a.name) || ' ' || string_agg(r.ref, ' ' order by r.ref) as name
  from purchase_ref r join account a on a.id = r.gateway_account_id where r.tenant_id = $1 group by r.purchase_id
), grant_name as (
  select g.id, g.source_kind || ' ' || coalesce(pn.name, s.name) || ' ' || rn.name || ' ' || g.position as name
  from fulfilment_grant g
  join price_name rn on rn.id = g.price_id
  left join purchase_name pn on g.source_kind = 'purchase' and pn.id = g.source_id
  left join (
    select s.id, a.name || ' ' || s.gateway_ref as name
    from subscription s join account a on a.id = s.gateway_account_id where s.tenant_id = $1
  ) s on g.source_kind = 'subscription' and s.id = g.source_id
  where g.tenant_id = $1 and g.status <> 'superseded'
)
"""


def _at(column: str) -> str:
    """Return a time as text that does not depend on the session's zone."""
    return f"{column} at time zone 'UTC'"


def _lines(columns: str, source: str) -> str:
    return f"""{_NAMES}
select jsonb_build_array({columns})::text collate "C" as line
{source}
order by 1
"""


_REFERRED = """
exists (select from payment x where x.tenant_id = $1 and x.customer_id = c.id and x.superseded_by is null)
or exists (select from purchase x where x.tenant_id = $1 and x.customer_id = c.id and x.merged_into is null)
or exists (select from subscription x where x.tenant_id = $1 and x.customer_id = c.id)
or exists (select from payment_method x where x.tenant_id = $1 and x.customer_id = c.id)
or exists (select from licence x where x.tenant_id = $1 and x.customer_id = c.id and x.status <> 'superseded')
or exists (select from credit_spend x where x.tenant_id = $1 and x.customer_id = c.id)
or exists (select from booking x where x.tenant_id = $1 and x.customer_id = c.id)
or exists (select from waitlist_entry x where x.tenant_id = $1 and x.customer_id = c.id)
or exists (select from gateway_object x where x.tenant_id = $1 and x.gateway_account_id = c.gateway_account_id
           and x.kind = 'customer' and x.ref = c.gateway_ref)
"""

_CLASS: Final = f"v.name, c.title, {_at('c.starts_at')}"

LINES: Final[dict[str, str]] = {
    "customer": _lines(
        "n.name, c.email, c.name, c.phone, c.is_deleted, c.default_method_ref",
        f"from customer c join customer_name n on n.id = c.id where c.tenant_id = $1 and ({_REFERRED})",
    ),
    "purchase": _lines(
        "n.name, cn.name, p.subscription_ref, p.leans_on_subscription, p.is_paid, p.is_disputed, p.paid_minor, p.refunded_minor, "
        f"p.lost_minor, p.currency, {_at('p.paid_at')}, {_at('p.period_start')}, l.lines, p.unmatched_reason, p.unmatched_refs",
        """
from purchase p
join purchase_name n on n.id = p.id
left join customer_name cn on cn.id = p.customer_id
cross join lateral (
  select jsonb_agg(jsonb_build_array(rn.name, line -> 'quantity', line -> 'standing', line -> 'free')
                   order by rn.name collate "C", line::text collate "C") as lines
  from jsonb_array_elements(p.lines) as line left join price_name rn on rn.id = (line ->> 'price')::uuid
) as l
where p.tenant_id = $1 and p.merged_into is null
""",
    ),
    "payment": _lines(
        "a.name, p.gateway_ref, p.charge_ref, n.name, cn.name, p.status, p.amount_minor, p.currency, p.refunded_minor, p.is_disputed, "
        f"p.failure_code, p.failure_message, p.description, {_at('p.created_at')}",
        """
from payment p join account a on a.id = p.gateway_account_id
left join purchase_name n on n.id = p.purchase_id left join customer_name cn on cn.id = p.customer_id
where p.tenant_id = $1 and p.superseded_by is null
""",
    ),
    "refund": _lines(
        f"a.name, r.gateway_ref, p.gateway_ref, n.name, r.status, r.amount_minor, r.currency, r.reason, {_at('r.created_at')}",
        """
from refund r join account a on a.id = r.gateway_account_id
left join payment p on p.tenant_id = r.tenant_id and p.id = r.payment_id left join purchase_name n on n.id = r.purchase_id
where r.tenant_id = $1 and r.gateway_ref is not null
""",
    ),
    "dispute": _lines(
        "a.name, d.gateway_ref, p.gateway_ref, n.name, d.status, d.is_inquiry, d.amount_minor, d.currency, d.reason, "
        f"{_at('d.due_by')}, d.withdrawn_minor, d.reinstated_minor, {_at('d.created_at')}",
        """
from dispute d join account a on a.id = d.gateway_account_id
left join payment p on p.tenant_id = d.tenant_id and p.id = d.payment_id left join purchase_name n on n.id = d.purchase_id
where d.tenant_id = $1
""",
    ),
    "invoice": _lines(
        "a.name, i.gateway_ref, n.name, cn.name, i.subscription_ref, i.number, i.status, i.total_minor, i.paid_minor, i.currency, "
        f"i.billing_reason, i.lines, {_at('i.due_at')}, {_at('i.paid_at')}, {_at('i.created_at')}",
        """
from invoice i join account a on a.id = i.gateway_account_id
left join purchase_name n on n.id = i.purchase_id left join customer_name cn on cn.id = i.customer_id
where i.tenant_id = $1
""",
    ),
    "subscription": _lines(
        f"a.name, s.gateway_ref, cn.name, rn.name, s.status, {_at('s.current_period_start')}, {_at('s.current_period_end')}, "
        f"s.cancel_at_period_end, {_at('s.cancel_at')}, {_at('s.canceled_at')}, {_at('s.ended_at')}, {_at('s.trial_end')}, "
        f"{_at('told.created_at')}, s.has_begun, s.default_method_ref",
        # While nobody has said when it began, the row bears the time of whichever report named it first.
        """
from subscription s join account a on a.id = s.gateway_account_id
left join price_name rn on rn.id = s.price_id left join customer_name cn on cn.id = s.customer_id
left join lateral (
  select s.created_at from gateway_object o
  where o.tenant_id = $1 and o.gateway_account_id = s.gateway_account_id and o.kind = 'subscription' and o.ref = s.gateway_ref
    and o.state ? 'created_at'
) as told on true
where s.tenant_id = $1 and (
  exists (select from purchase p where p.tenant_id = $1 and p.gateway_account_id = s.gateway_account_id
          and p.subscription_ref = s.gateway_ref and p.merged_into is null)
  or exists (select from gateway_object o where o.tenant_id = $1 and o.gateway_account_id = s.gateway_account_id
             and o.kind = 'subscription' and o.ref = s.gateway_ref))
""",
    ),
    "checkout_session": _lines(
        "a.name, s.gateway_ref, n.name, cn.name, s.mode, s.status, s.payment_status, s.amount_minor, s.currency, "
        f"{_at('s.expires_at')}, {_at('s.created_at')}",
        """
from checkout_session s join account a on a.id = s.gateway_account_id
left join purchase_name n on n.id = s.purchase_id left join customer_name cn on cn.id = s.customer_id
where s.tenant_id = $1
""",
    ),
    "payment_method": _lines(
        "a.name, m.gateway_ref, cn.name, m.method, m.brand, m.last4, m.exp_month, m.exp_year, m.is_detached",
        """
from payment_method m join account a on a.id = m.gateway_account_id left join customer_name cn on cn.id = m.customer_id
where m.tenant_id = $1
""",
    ),
    "fulfilment_grant": _lines(
        "n.name, cn.name, g.kind, g.quantity, g.spec, g.status, g.taken_minor, g.paid_minor, "
        f"{_at('g.starts_at')}, {_at('g.ends_at')}",
        """
from fulfilment_grant g join grant_name n on n.id = g.id left join customer_name cn on cn.id = g.customer_id
where g.tenant_id = $1
""",
    ),
    # Whether a lot was marked as expired is a policy's doing, at the policy's time; when it expires is the fact.
    "credit_lot": _lines(
        "n.name, cn.name, l.pool, l.granted - l.taken, l.spent, l.is_suspended, l.recovers_shortfall, "
        f"{_at('l.effective_at')}, {_at('l.expires_at')}",
        """
from credit_lot l left join grant_name n on n.id = l.grant_id left join customer_name cn on cn.id = l.customer_id
where l.tenant_id = $1 and (l.grant_id is null or n.id is not null)
""",
    ),
    "credit_spend": _lines(
        "s.reference, cn.name, s.pool, s.amount, s.returned",
        "from credit_spend s left join customer_name cn on cn.id = s.customer_id where s.tenant_id = $1",
    ),
    "class_instance": _lines(
        f"{_CLASS}, {_at('c.ends_at')}, c.status, c.is_published, c.deposit_percent, c.credit_cost, c.pools, c.capacity, c.overbook, c.held, c.booked, c.waiting",
        """
from class_instance c left join venue v on v.tenant_id = c.tenant_id and v.id = c.venue_id
where c.tenant_id = $1 and c.status <> 'deleted'
""",
    ),
    "service": _lines(
        "s.name, s.category, p.name, s.slot_min, s.lead_min, s.horizon_days, s.is_published",
        """
from service s left join booking_policy p on p.tenant_id = s.tenant_id and p.id = s.policy_id
where s.tenant_id = $1 and s.deleted_at is null
""",
    ),
    "tier": _lines(
        "s.name, t.name, t.duration_min, t.before_min, t.after_min, rn.name, dn.name",
        """
from tier t join service s on s.tenant_id = t.tenant_id and s.id = t.service_id
left join price_name rn on rn.id = t.price_id left join price_name dn on dn.id = t.deposit_price_id
where t.tenant_id = $1 and t.deleted_at is null and s.deleted_at is null
""",
    ),
    "booking_policy": _lines(
        "p.name, p.is_default, p.terms, p.deleted_at is not null", "from booking_policy p where p.tenant_id = $1"
    ),
    "booking_rule": _lines("r.rule, r.is_on, r.parameters", "from booking_rule r where r.tenant_id = $1"),
    "coupon": _lines(
        f"k.code, k.percent, k.amount_minor, k.currency, k.uses_max, k.uses_per_customer, k.used, k.is_on, {_at('k.valid_until')}",
        "from coupon k where k.tenant_id = $1",
    ),
    # Its number is random, and which class it is of, the class's own name and time say.
    "booking": _lines(
        f"{_CLASS}, cn.name, b.kind, b.status, b.seats, {_at('b.starts_at')}, b.source, b.paid_with, b.credit_cost, b.missing_credits, b.credits_back, "
        f"b.price_minor, b.deposit_percent, b.discount_minor, b.tax_bp, b.tax_included, b.tax_minor, b.currency, {_at('b.cancel_by')}, b.terms, b.overbooked, b.moves",
        """
from booking b
left join class_instance c on c.tenant_id = b.tenant_id and c.id = b.class_id left join venue v on v.tenant_id = b.tenant_id and v.id = b.venue_id
left join customer_name cn on cn.id = b.customer_id
where b.tenant_id = $1
""",
    ),
    "booking_fee": _lines(
        f"v.name, {_at('b.starts_at')}, cn.name, f.kind, f.amount_minor, f.currency, f.status",
        """
from booking_fee f
left join booking b on b.tenant_id = f.tenant_id and b.id = f.booking_id left join venue v on v.tenant_id = b.tenant_id and v.id = b.venue_id
left join customer_name cn on cn.id = f.customer_id
where f.tenant_id = $1
""",
    ),
    "waitlist_entry": _lines(
        f"{_CLASS}, cn.name, w.seq, w.seats, w.status",
        """
from waitlist_entry w
left join class_instance c on c.tenant_id = w.tenant_id and c.id = w.class_id left join venue v on v.tenant_id = c.tenant_id and v.id = c.venue_id
left join customer_name cn on cn.id = w.customer_id
where w.tenant_id = $1
""",
    ),
    # How long it waits, and when that changed, follow from when the reports came.
    "seat_payment": _lines(
        f"n.name, s.status, s.is_disputed, s.returning_minor, {_CLASS}, {_at('b.starts_at')}, cn.name",
        """
from seat_payment s join grant_name n on n.id = s.grant_id
left join booking b on b.tenant_id = s.tenant_id and b.id = s.booking_id
left join class_instance c on c.tenant_id = b.tenant_id and c.id = b.class_id left join venue v on v.tenant_id = b.tenant_id and v.id = b.venue_id
left join customer_name cn on cn.id = b.customer_id
where s.tenant_id = $1
""",
    ),
    "pack_refund": _lines(
        "n.name, r.gateway_ref, k.status, k.amount_minor, k.currency, k.granted, k.used, k.unused",
        """
from pack_refund k join refund r on r.tenant_id = k.tenant_id and r.id = k.refund_id
left join credit_lot l on l.tenant_id = k.tenant_id and l.id = k.lot_id left join grant_name n on n.id = l.grant_id
where k.tenant_id = $1
""",
    ),
    "entitlement": _lines(
        f"n.name, cn.name, e.kind, e.key, e.amount_max, e.per, e.status, {_at('e.starts_at')}, {_at('e.ends_at')}",
        """
from entitlement e join grant_name n on n.id = e.grant_id left join customer_name cn on cn.id = e.customer_id
where e.tenant_id = $1
""",
    ),
    # A key that we made is random; one that the gateway issued is a fact.
    "licence": _lines(
        "n.name, a.name, l.gateway_ref, case when l.gateway_ref is not null then l.key end, cn.name, l.product, l.activations_max, "
        f"l.activations, l.status, l.payment_ref, {_at('l.expires_at')}, devices.fingerprints",
        """
from licence l
left join entitlement e on e.tenant_id = l.tenant_id and e.id = l.entitlement_id left join grant_name n on n.id = e.grant_id
left join account a on a.id = l.gateway_account_id left join customer_name cn on cn.id = l.customer_id
cross join lateral (
  select array_agg(v.fingerprint order by v.fingerprint) as fingerprints
  from licence_activation v where v.tenant_id = l.tenant_id and v.licence_id = l.id
) as devices
where l.tenant_id = $1 and (l.entitlement_id is null or n.id is not null)
""",
    ),
    "ledger_entry": _lines(
        "booked.name, booked.source_kind, booked.source_ref, booked.account, booked.currency, booked.minor",
        """
from (
  select a.name, t.source_kind, t.source_ref, e.account, e.currency, sum(e.amount_minor) as minor
  from ledger_transaction t
  join ledger_entry e on e.tenant_id = t.tenant_id and e.transaction_id = t.id
  join account a on a.id = t.gateway_account_id
  where t.tenant_id = $1 group by a.name, t.source_kind, t.source_ref, e.account, e.currency having sum(e.amount_minor) <> 0
) as booked
""",
    ),
    "ledger_balance": _lines(
        "b.account, b.currency, b.balance_minor",
        "from ledger_balance b where b.tenant_id = $1 and b.balance_minor <> 0",
    ),
    # What was counted once and moved on leaves a row of nothing, in some orders and not in others.
    "payment_tally": _lines(
        f"{_at('t.quarter')}, a.name, t.currency, t.status, t.payments, t.amount_minor",
        """
from payment_tally t join account a on a.id = t.gateway_account_id
where t.tenant_id = $1 and (t.payments <> 0 or t.amount_minor <> 0)
""",
    ),
    "gateway_object": _lines(
        f"a.name, o.kind, o.ref, o.is_final, {_at('o.version_at')}, o.version_rank, o.version_tie, o.state, n.name",
        """
from gateway_object o join account a on a.id = o.gateway_account_id left join purchase_name n on n.id = o.purchase_id
where o.tenant_id = $1
""",
    ),
    "gateway_event": _lines(
        "a.name, e.gateway_event_id, e.type, place.word",
        """
from gateway_event e join account a on a.id = e.gateway_account_id
cross join lateral (
  select coalesce(
    (select 'dead' from gateway_event_dead d where d.tenant_id = $1 and d.event_id = e.id),
    (select o.outcome from gateway_event_outcome o where o.tenant_id = $1 and o.event_id = e.id order by o.run desc limit 1),
    'waiting') as word
) as place
where e.tenant_id = $1 and e.origin = 'gateway'
""",
    ),
}
