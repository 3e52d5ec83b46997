"""What we ask of gateways: nothing is forgotten, nothing is promised beyond what came in, nothing is done twice."""

from typing import Final

from bursar.operations.invariants.invariant import Invariant, Scope

OUTWARD: Final = (
    Invariant(
        name="calls_have_an_outcome_or_a_job",
        promises="Every call to a gateway has its outcome, or an open job that makes it.",
        subject="gateway_call",
        scope=Scope.whole,
        sql="""
select c.id as gateway_call, c.operation, c.subject, c.created_at
from gateway_call c
where c.tenant_id = $1 and c.state = 'asked' and c.created_at < clock_timestamp() - interval '1 minute'
  and not exists (
    select from job j where j.tenant_id = c.tenant_id and j.kind = 'gateways.execute_call' and j.request = uuid_send(c.id)
      and j.state not in ('dead', 'unknown'))
""",
    ),
    Invariant(
        name="promises_are_of_asked_refunds",
        promises="What a payment has promised is the sum of its asked refunds without an outcome.",
        subject="payment",
        scope=Scope.purchase,
        sql="""
select p.id as payment, p.gateway_ref, p.promised_minor, asked.minor as asked_minor
from payment p
cross join lateral (
  select coalesce(sum(r.amount_minor), 0)::bigint as minor from refund r
  where r.tenant_id = p.tenant_id and r.payment_id = p.id and r.is_asked and r.status = 'pending' and r.same_as is null
) as asked
where p.tenant_id = $1 /*only p.purchase_id*/ and p.promised_minor <> asked.minor
""",
    ),
    Invariant(
        name="asked_refunds_are_made_once",
        promises="A refund that we asked for is at most one refund at the gateway.",
        subject="refund",
        scope=Scope.never,
        sql="""
select o.state ->> 'bursar_refund' as asked_refund, array_agg(o.ref order by o.ref) as gateway_refs
from gateway_object o
where o.tenant_id = $1 and o.kind = 'refund' and o.state ->> 'bursar_refund' is not null
group by o.gateway_account_id, o.state ->> 'bursar_refund' having count(*) > 1
""",
    ),
)
