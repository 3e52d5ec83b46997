"""The books: they balance, and they say what the payments, refunds and disputes say."""

from typing import Final

from bursar.operations.invariants.invariant import Invariant, Scope

_BOOKED = """
left join lateral (
  select coalesce(sum(e.amount_minor), 0)::bigint as minor
  from ledger_transaction t
  join ledger_entry e on e.tenant_id = t.tenant_id and e.transaction_id = t.id
  where t.tenant_id = {row}.tenant_id and t.gateway_account_id = {row}.gateway_account_id and t.source_ref = {row}.gateway_ref
    and t.source_kind = '{kind}' and e.account like 'gateway:%' and e.currency = {row}.currency
) as booked on true
"""

BOOKS: Final = (
    Invariant(
        name="ledger_transactions_balance",
        promises="The entries of each ledger transaction sum to zero in each currency, and it has entries.",
        subject="ledger_transaction",
        scope=Scope.transaction,
        sql="""
select t.id as ledger_transaction, t.source_kind, t.source_ref, e.currency, sum(e.amount_minor)::bigint as sum_minor
from ledger_transaction t
left join ledger_entry e on e.tenant_id = t.tenant_id and e.transaction_id = t.id
where t.tenant_id = $1 /*only t.id*/
group by t.id, t.source_kind, t.source_ref, e.currency
having coalesce(sum(e.amount_minor), 1) <> 0
""",
    ),
    Invariant(
        name="ledger_balances_equal_entries",
        promises="Each balance equals the sum of its account's entries.",
        subject="ledger_entry",
        scope=Scope.never,
        sql="""
select account, currency, balance_minor, coalesce(sum_minor, 0) as sum_minor
from (select account, currency, balance_minor from ledger_balance where tenant_id = $1) as b
full join (
  select account, currency, sum(amount_minor)::bigint as sum_minor from ledger_entry where tenant_id = $1 group by account, currency
) as s using (account, currency)
where coalesce(balance_minor, 0) <> coalesce(sum_minor, 0)
""",
    ),
    Invariant(
        name="ledger_balances_sum_to_zero",
        promises="The balances of all accounts sum to zero in each currency.",
        subject="ledger_balance",
        scope=Scope.whole,
        sql="""
select currency, sum(balance_minor)::bigint as sum_minor
from ledger_balance where tenant_id = $1 group by currency having sum(balance_minor) <> 0
""",
    ),
    Invariant(
        name="payments_are_booked",
        promises="Each succeeded payment stands in the books with its amount; any other payment with nothing.",
        subject="payment",
        scope=Scope.purchase,
        sql=f"""
select p.id as payment, p.gateway_ref, p.status, p.amount_minor, booked.minor as booked_minor
from payment p
{_BOOKED.format(row="p", kind="payment")}
where p.tenant_id = $1 /*only p.purchase_id*/
  and booked.minor <> case when p.status = 'succeeded' and p.superseded_by is null then p.amount_minor else 0 end
""",
    ),
    Invariant(
        name="refunds_are_booked",
        promises="Each succeeded refund of money that was taken stands in the books with its amount; any other refund with nothing.",
        subject="refund",
        scope=Scope.purchase,
        sql=f"""
select r.id as refund, r.gateway_ref, r.status, r.amount_minor, -booked.minor as booked_minor
from payment p
join refund r on r.tenant_id = p.tenant_id and r.payment_id = p.id
{_BOOKED.format(row="r", kind="refund")}
where p.tenant_id = $1 /*only p.purchase_id*/
  and -booked.minor <> case when r.status = 'succeeded' and p.status = 'succeeded' then r.amount_minor else 0 end
""",
    ),
    Invariant(
        name="disputes_are_booked",
        promises="What a dispute keeps from us stands in the books: what was moved, else the sum of a lost one.",
        subject="dispute",
        scope=Scope.purchase,
        sql=f"""
select d.id as dispute, d.gateway_ref, d.status, d.withdrawn_minor, d.reinstated_minor, -booked.minor as booked_minor
from payment p
join dispute d on d.tenant_id = p.tenant_id and d.payment_id = p.id
{_BOOKED.format(row="d", kind="dispute")}
where p.tenant_id = $1 /*only p.purchase_id*/
  and -booked.minor <> case
    when d.withdrawn_minor <> 0 or d.reinstated_minor <> 0 then d.withdrawn_minor - d.reinstated_minor
    when d.status = 'lost' then d.amount_minor
    else 0 end
""",
    ),
    Invariant(
        name="postings_have_a_source",
        promises="Each ledger transaction is of a gateway object that was reported.",
        subject="ledger_transaction",
        scope=Scope.transaction,
        sql="""
select t.id as ledger_transaction, t.source_kind, t.source_ref
from ledger_transaction t
cross join lateral (
  select array[t.source_kind || ':' || t.source_ref, 'charge:' || t.source_ref, 'invoice:' || t.source_ref,
               'session:' || t.source_ref] as any_of offset 0
) as name
where t.tenant_id = $1 /*only t.id*/
  and not exists (
    select from purchase_ref r
    where r.tenant_id = t.tenant_id and r.gateway_account_id = t.gateway_account_id and r.ref = any(name.any_of)
  )
""",
    ),
    Invariant(
        name="purchases_sum_their_payments",
        promises="A purchase's paid and returned sums are those of its payments; no more is returned or lost than was paid.",
        subject="purchase",
        scope=Scope.purchase,
        sql="""
select p.id as purchase, p.paid_minor, s.paid_minor as payments_minor, p.refunded_minor, s.refunded_minor as refunds_minor, p.lost_minor
from purchase p
cross join lateral (
  select coalesce(sum(y.amount_minor) filter (where y.status = 'succeeded'), 0)::bigint as paid_minor,
    coalesce(sum(y.refunded_minor), 0)::bigint as refunded_minor
  from payment y where y.tenant_id = p.tenant_id and y.purchase_id = p.id and y.superseded_by is null
) as s
where p.tenant_id = $1 /*only p.id*/ and p.merged_into is null
  and (p.paid_minor <> s.paid_minor or p.refunded_minor <> least(s.refunded_minor, s.paid_minor)
       or p.refunded_minor + p.lost_minor > p.paid_minor)
""",
    ),
    Invariant(
        name="payments_count_their_refunds",
        promises="A payment's returned sum is at least that of its succeeded refunds.",
        subject="payment",
        scope=Scope.purchase,
        sql="""
select p.id as payment, p.gateway_ref, p.amount_minor, p.refunded_minor, known.minor as refunds_minor
from payment p
cross join lateral (
  select coalesce(sum(r.amount_minor), 0)::bigint as minor
  from refund r where r.tenant_id = p.tenant_id and r.payment_id = p.id and r.status = 'succeeded' and r.currency = p.currency
) as known
where p.tenant_id = $1 /*only p.purchase_id*/ and p.superseded_by is null and p.status = 'succeeded' and p.refunded_minor < known.minor
""",
    ),
    Invariant(
        name="refunds_within_payments",
        promises="No more is returned of a payment than it took.",
        subject="payment",
        scope=Scope.purchase,
        sql="""
select p.id as payment, p.gateway_ref, p.amount_minor, p.refunded_minor
from payment p
where p.tenant_id = $1 /*only p.purchase_id*/ and p.superseded_by is null and p.refunded_minor > p.amount_minor
""",
    ),
    Invariant(
        name="payments_are_tallied",
        promises="Each sum of payments by quarter of an hour, account, currency and state is that of the payments themselves.",
        subject="payment_tally",
        scope=Scope.never,
        sql="""
select quarter, gateway_account_id, currency, status, coalesce(told.payments, 0) as payments,
  coalesce(truth.payments, 0) as payments_found, coalesce(told.amount_minor, 0) as amount_minor,
  coalesce(truth.amount_minor, 0) as amount_minor_found
from (select quarter, gateway_account_id, currency, status, payments, amount_minor from payment_tally where tenant_id = $1) as told
full join (
  select date_bin('15 minutes', created_at, timestamptz '2000-01-01 00:00+00') as quarter, gateway_account_id, currency, status,
    count(*) as payments, sum(amount_minor)::bigint as amount_minor
  from payment where tenant_id = $1 and superseded_by is null
  group by 1, 2, 3, 4
) as truth using (quarter, gateway_account_id, currency, status)
where coalesce(told.payments, 0) <> coalesce(truth.payments, 0) or coalesce(told.amount_minor, 0) <> coalesce(truth.amount_minor, 0)
""",
    ),
)
