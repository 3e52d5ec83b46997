"""Merged facts: objects belong to one purchase, and the rows people see say what the newest facts say."""

from typing import Final

from bursar.operations.invariants.invariant import Invariant, Scope

_OF_PURCHASES = (
    "('payment', 'charge', 'refund', 'dispute', 'dispute_funds', 'invoice', 'invoice_payment', 'session', 'assignment')"
)


def _follows(table: str, kind: str, differs: str, shown: str) -> Invariant:
    """Build the invariant of a table whose rows repeat one kind of gateway object."""
    return Invariant(
        name=f"{table}s_say_what_was_reported",
        promises=f"Each {table.replace('_', ' ')} says what its newest report says.",
        subject=table,
        scope=Scope.purchase,
        sql=f"""
select t.id as {table}, o.ref as gateway_ref, {shown}
from gateway_object o
left join {table} t on t.tenant_id = o.tenant_id and t.gateway_account_id = o.gateway_account_id and t.gateway_ref = o.ref
where o.tenant_id = $1 /*only o.purchase_id*/ and o.kind = '{kind}'
  and (t.id is null or t.purchase_id is distinct from o.purchase_id or {differs})
""",
    )


MERGED: Final = (
    Invariant(
        name="objects_belong_to_their_purchase",
        promises="Every object that is part of a purchase is filed under its name, and both say the same purchase.",
        subject="gateway_object",
        scope=Scope.purchase,
        sql=f"""
select o.purchase_id as purchase, o.kind, o.ref as gateway_ref, r.purchase_id as filed_purchase
from gateway_object o
cross join lateral (select o.kind || ':' || o.ref as ref offset 0) as name
left join purchase_ref r
  on r.tenant_id = o.tenant_id and r.gateway_account_id = o.gateway_account_id and r.ref = name.ref
where o.tenant_id = $1 /*only o.purchase_id*/ and o.kind in {_OF_PURCHASES}
  and (o.purchase_id is null or r.purchase_id is distinct from o.purchase_id)
""",
    ),
    Invariant(
        name="names_lead_to_a_purchase",
        promises="Every filed name leads to a purchase that exists and was not absorbed.",
        subject="purchase_ref",
        scope=Scope.purchase,
        sql="""
select r.ref, r.purchase_id as purchase, p.merged_into as kept_purchase
from purchase_ref r
left join purchase p on p.tenant_id = r.tenant_id and p.id = r.purchase_id
where r.tenant_id = $1 /*only r.purchase_id*/ and (p.id is null or p.merged_into is not null or p.gateway_account_id <> r.gateway_account_id)
""",
    ),
    _follows(
        "refund",
        "refund",
        "t.status <> o.state ->> 'status' or t.amount_minor <> (o.state ->> 'amount_minor')::bigint or t.currency <> o.state ->> 'currency'",
        "t.status, o.state ->> 'status' as reported_status, t.amount_minor, (o.state ->> 'amount_minor')::bigint as reported_minor",
    ),
    _follows(
        "dispute",
        "dispute",
        "t.status <> o.state ->> 'status' or t.amount_minor <> (o.state ->> 'amount_minor')::bigint or t.currency <> o.state ->> 'currency'",
        "t.status, o.state ->> 'status' as reported_status, t.amount_minor, (o.state ->> 'amount_minor')::bigint as reported_minor",
    ),
    _follows(
        "invoice",
        "invoice",
        "t.status <> o.state ->> 'status' or t.total_minor <> (o.state ->> 'total_minor')::bigint "
        "or t.paid_minor <> (o.state ->> 'paid_minor')::bigint or t.currency <> o.state ->> 'currency'",
        "t.status, o.state ->> 'status' as reported_status, t.paid_minor, (o.state ->> 'paid_minor')::bigint as reported_minor",
    ),
    _follows(
        "checkout_session",
        "session",
        "t.status <> o.state ->> 'status' or t.payment_status <> o.state ->> 'payment_status'",
        "t.status, o.state ->> 'status' as reported_status, t.payment_status, o.state ->> 'payment_status' as reported_payment",
    ),
    Invariant(
        name="payments_are_of_reported_objects",
        promises="Each payment that counts is reported, or proven by the invoice, checkout or charge that stands in for it.",
        subject="payment",
        scope=Scope.purchase,
        sql="""
select p.id as payment, p.gateway_ref, p.purchase_id as purchase, r.purchase_id as filed_purchase
from payment p
cross join lateral (
  select array['payment:' || p.gateway_ref, 'charge:' || p.gateway_ref, 'invoice:' || p.gateway_ref, 'session:' || p.gateway_ref]
    as any_of offset 0
) as name
left join lateral (
  select r.purchase_id from purchase_ref r
  where r.tenant_id = p.tenant_id and r.gateway_account_id = p.gateway_account_id and r.ref = any(name.any_of)
  order by r.purchase_id <> p.purchase_id limit 1
) as r on true
where p.tenant_id = $1 /*only p.purchase_id*/ and r.purchase_id is distinct from p.purchase_id
""",
    ),
    Invariant(
        name="subscriptions_say_what_was_reported",
        promises="Each subscription says what its newest report says.",
        subject="subscription",
        scope=Scope.source,
        sql="""
select s.id as subscription, s.gateway_ref, s.status, o.state ->> 'status' as reported_status
from subscription s
join gateway_object o
  on o.tenant_id = s.tenant_id and o.gateway_account_id = s.gateway_account_id and o.kind = 'subscription' and o.ref = s.gateway_ref
where s.tenant_id = $1 /*only s.id*/
  and (s.status <> o.state ->> 'status' or s.current_period_end is distinct from (o.state ->> 'current_period_end')::timestamptz
       or s.ended_at is distinct from (o.state ->> 'ended_at')::timestamptz)
""",
    ),
    Invariant(
        name="reported_subscriptions_are_known",
        promises="Each reported subscription has its row.",
        subject="gateway_object",
        scope=Scope.never,
        sql="""
select o.ref as gateway_ref, o.state ->> 'status' as reported_status
from gateway_object o
where o.tenant_id = $1 and o.kind = 'subscription'
  and not exists (
    select from subscription s
    where s.tenant_id = o.tenant_id and s.gateway_account_id = o.gateway_account_id and s.gateway_ref = o.ref)
""",
    ),
)
