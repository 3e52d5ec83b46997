"""Grants: every paid line has exactly its grants, nothing else has any, and they follow the money."""

from typing import Final

from bursar.operations.invariants.invariant import Invariant, Scope

GRANTS: Final = (
    Invariant(
        name="paid_lines_have_exactly_their_grants",
        promises="Every line of a paid purchase has each grant of its price once, and no other purchase has any.",
        subject="purchase",
        scope=Scope.purchase,
        sql="""
with due as (
  select p.id as source_id, (line ->> 'price')::uuid as price_id, (g.n - 1)::smallint as position, g.spec ->> 'kind' as kind,
    (line ->> 'quantity')::integer as quantity, p.customer_id
  from purchase p
  cross join lateral jsonb_array_elements(p.lines) as line
  join price on price.tenant_id = p.tenant_id and price.id = (line ->> 'price')::uuid
  cross join lateral jsonb_array_elements(price.grants) with ordinality as g (spec, n)
  where p.tenant_id = $1 /*only p.id*/ and p.is_paid and p.merged_into is null
    and not ((line ->> 'standing')::boolean and g.spec ->> 'kind' = any(:standing))
    and not ((line ->> 'free')::boolean and g.spec ->> 'kind' = 'credits')
), held as (
  select g.id, g.source_id, g.price_id, g.position, g.kind, g.quantity, g.customer_id
  from fulfilment_grant g
  where g.tenant_id = $1 /*only g.source_id*/ and g.source_kind = 'purchase' and g.status <> 'superseded'
)
select source_id as purchase, price_id as price, position, held.id as "grant",
  case when held.id is null then 'a grant is missing' when due.source_id is null then 'granted, but not bought'
       else 'granted otherwise than bought' end as problem
from due full join held using (source_id, price_id, position)
where due.source_id is null or held.id is null
  or (due.kind, due.quantity, due.customer_id) is distinct from (held.kind, held.quantity, held.customer_id)
""",
    ),
    Invariant(
        name="purchase_grants_follow_the_money",
        promises="A purchase's grants know what was returned of its money: all of it revokes, an open dispute suspends.",
        subject="fulfilment_grant",
        scope=Scope.purchase,
        sql="""
select g.id as "grant", p.id as purchase, g.status, g.taken_minor, g.paid_minor,
  p.refunded_minor + p.lost_minor as returned_minor, p.paid_minor as purchase_minor
from purchase p
join fulfilment_grant g on g.tenant_id = p.tenant_id and g.source_id = p.id and g.status <> 'superseded'
where p.tenant_id = $1 /*only p.id*/
  and (g.taken_minor, g.paid_minor, g.status) is distinct from (
    p.refunded_minor + p.lost_minor, p.paid_minor,
    case when p.paid_minor > 0 and p.refunded_minor + p.lost_minor >= p.paid_minor then 'revoked'
         when p.is_disputed then 'suspended' else 'active' end)
""",
    ),
    Invariant(
        name="subscription_grants_are_of_its_price",
        promises="What a subscription grants is what a price says, of a kind that lasts as long as it does, once it entitles.",
        subject="fulfilment_grant",
        scope=Scope.source,
        sql="""
select g.id as "grant", g.source_id as subscription, g.price_id as price, g.position, s.status,
  case when s.id is null then 'there is no such subscription' when s.customer_id is distinct from g.customer_id
       and s.customer_id is not null then 'it is for another customer'
       when not s.is_entitling then 'the subscription does not entitle yet' else 'the price does not grant this' end as problem
from fulfilment_grant g
join price on price.tenant_id = g.tenant_id and price.id = g.price_id
left join lateral (
  select s.id, s.status, s.customer_id, s.status not in ('incomplete', 'canceled') or (s.status = 'canceled' and s.has_begun) or exists (
    select from purchase p
    where p.tenant_id = s.tenant_id and p.gateway_account_id = s.gateway_account_id and p.subscription_ref = s.gateway_ref and p.is_paid
  ) as is_entitling
  from subscription s where s.tenant_id = g.tenant_id and s.id = g.source_id
) as s on true
where g.tenant_id = $1 /*only g.source_id*/ and g.source_kind = 'subscription' and g.status <> 'superseded'
  and (s.id is null or not s.is_entitling or g.kind <> all(:standing) or price.grants -> g.position::integer is distinct from g.spec
       or (s.customer_id is not null and s.customer_id <> g.customer_id))
""",
    ),
    Invariant(
        name="subscriptions_have_their_grants",
        promises="A subscription that entitles has every lasting grant of its price.",
        subject="subscription",
        scope=Scope.source,
        sql="""
select s.id as subscription, s.status, s.price_id as price, (g.n - 1)::smallint as position, 'a grant is missing' as problem
from subscription s
join price on price.tenant_id = s.tenant_id and price.id = s.price_id
cross join lateral jsonb_array_elements(price.grants) with ordinality as g (spec, n)
where s.tenant_id = $1 /*only s.id*/ and s.status <> 'incomplete' and (s.status <> 'canceled' or s.has_begun) and s.customer_id is not null and g.spec ->> 'kind' = any(:standing)
  and not exists (
    select from fulfilment_grant h
    where h.tenant_id = s.tenant_id and h.source_id = s.id and h.price_id = s.price_id and h.position = g.n - 1 and h.status <> 'superseded'
  )
""",
    ),
    Invariant(
        name="subscription_grants_follow_the_money",
        promises="A subscription's grants are suspended while paused or disputed, revoked when its latest period's money went back, and end with it.",
        subject="fulfilment_grant",
        scope=Scope.source,
        sql="""
select g.id as "grant", s.id as subscription, s.status as subscription_status, g.status, due.status as due_status, g.ends_at
from fulfilment_grant g
join subscription s on s.tenant_id = g.tenant_id and s.id = g.source_id
cross join lateral (
  select bool_or(p.is_disputed) as is_disputed,
    (array_agg(p.paid_minor > 0 and p.refunded_minor + p.lost_minor >= p.paid_minor
               order by coalesce(p.period_start, p.paid_at) desc, p.paid_at desc, p.paid_minor desc,
                 p.refunded_minor + p.lost_minor desc)
       filter (where p.lines @> '[{"standing": true}]'))[1] as is_returned
  from purchase p
  where p.tenant_id = s.tenant_id and p.gateway_account_id = s.gateway_account_id and p.subscription_ref = s.gateway_ref and p.is_paid
) as money
cross join lateral (
  select case when money.is_returned then 'revoked' when money.is_disputed or s.status = 'paused' then 'suspended' else 'active' end as status
) as due
where g.tenant_id = $1 /*only g.source_id*/ and g.source_kind = 'subscription' and g.status <> 'superseded'
  and (g.status <> due.status or (s.status in ('canceled', 'past_due', 'unpaid') and g.ends_at is null))
""",
    ),
    Invariant(
        name="unmatched_money_grants_nothing",
        promises="Money that names nothing we sell grants nothing.",
        subject="purchase",
        scope=Scope.purchase,
        sql="""
select p.id as purchase, g.id as "grant", p.unmatched_reason
from purchase p
join fulfilment_grant g on g.tenant_id = p.tenant_id and g.source_id = p.id and g.status <> 'superseded'
where p.tenant_id = $1 /*only p.id*/ and p.unmatched_reason is not null and p.lines = '[]'
""",
    ),
    Invariant(
        name="absorbed_purchases_own_nothing",
        promises="A purchase that turned out to be part of another one owns neither objects nor money nor grants.",
        subject="purchase",
        scope=Scope.purchase,
        sql="""
select p.id as purchase, p.merged_into as kept_purchase, owned.what
from purchase p
cross join lateral (
  select 'objects' as what where exists (select from purchase_ref r where r.tenant_id = p.tenant_id and r.purchase_id = p.id)
  union all
  select 'snapshots' where exists (select from gateway_object o where o.tenant_id = p.tenant_id and o.purchase_id = p.id)
  union all
  select 'payments' where exists (select from payment y where y.tenant_id = p.tenant_id and y.purchase_id = p.id)
  union all
  select 'grants' where exists (
    select from fulfilment_grant g where g.tenant_id = p.tenant_id and g.source_id = p.id and g.status <> 'superseded')
  union all
  select 'sums' where p.is_paid or p.paid_minor <> 0 or p.lines <> '[]'
) as owned
where p.tenant_id = $1 /*only p.id*/ and p.merged_into is not null
""",
    ),
)
