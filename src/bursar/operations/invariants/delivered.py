"""What grants delivered: credits, entitlements, licences, and what was used of them."""

from typing import Final

from bursar.operations.invariants.invariant import Invariant, Scope

_PIECES = "(g.spec ->> '{field}')::numeric * g.quantity"
_KEPT = "{pieces} - div({pieces} * least(g.taken_minor, g.paid_minor), greatest(g.paid_minor, 1))"
_AMOUNT_KEPT = (
    f"(case when g.status = 'superseded' then 0 else {_KEPT.format(pieces=_PIECES.format(field='amount'))} end)"
)

DELIVERED: Final = (
    Invariant(
        name="credits_are_delivered",
        promises="Each grant of credits has its lot: what it grants, less the returned share (floor of granted × returned ÷ paid).",
        subject="fulfilment_grant",
        scope=Scope.source,
        sql=f"""
select g.id as "grant", l.id as lot, g.status, l.granted - l.taken as credits, ({_AMOUNT_KEPT})::bigint as due_credits,
  l.is_suspended, l.pool
from fulfilment_grant g
left join credit_lot l on l.tenant_id = g.tenant_id and l.grant_id = g.id
where g.tenant_id = $1 /*only g.source_id*/ and g.kind = 'credits'
  and case when l.id is null then g.status <> 'superseded'
           else l.granted - l.taken <> {_AMOUNT_KEPT} or l.is_suspended <> (g.status = 'suspended')
             or l.customer_id <> g.customer_id or l.pool <> coalesce(g.spec ->> 'pool', 'default') end
""",
    ),
    Invariant(
        name="entitlements_are_delivered",
        promises="Each grant of a feature, quota or licence has its entitlement, in the same state and of the size it grants.",
        subject="fulfilment_grant",
        scope=Scope.source,
        sql=f"""
select g.id as "grant", e.id as entitlement, g.kind, g.status, e.status as entitlement_status, e.amount_max, due.amount_max as due_max,
  e.ends_at, due.ends_at as due_ends_at
from fulfilment_grant g
left join entitlement e on e.tenant_id = g.tenant_id and e.grant_id = g.id
cross join lateral (
  select case g.kind
      when 'feature' then {_PIECES.format(field="limit")}
      when 'quota' then {_AMOUNT_KEPT}
      else {_PIECES.format(field="activations")} end as amount_max,
    case g.kind when 'feature' then g.spec ->> 'feature' when 'quota' then g.spec ->> 'meter' else g.spec ->> 'course' end as key,
    least(g.ends_at, (g.starts_at at time zone 'UTC' + (g.spec ->> 'expires_after')::interval) at time zone 'UTC') as ends_at
) as due
where g.tenant_id = $1 /*only g.source_id*/ and g.kind in ('feature', 'quota', 'licence')
  and case when e.id is null then g.status <> 'superseded'
           else (e.kind, e.key, e.status, e.customer_id, e.starts_at, e.ends_at, e.amount_max::numeric)
             is distinct from (g.kind, due.key, g.status, g.customer_id, g.starts_at, due.ends_at, due.amount_max) end
""",
    ),
    Invariant(
        name="licences_are_delivered",
        promises="Each entitlement to a licence has one key, in the same state.",
        subject="entitlement",
        scope=Scope.source,
        sql="""
select g.id as "grant", e.id as entitlement, l.id as licence, e.status, l.status as licence_status
from fulfilment_grant g
join entitlement e on e.tenant_id = g.tenant_id and e.grant_id = g.id
left join licence l on l.tenant_id = e.tenant_id and l.entitlement_id = e.id
where g.tenant_id = $1 /*only g.source_id*/ and g.kind = 'licence'
  and (l.id is null or (l.status, l.customer_id, l.product, l.expires_at) is distinct from (e.status, e.customer_id, e.key, e.ends_at)
       or l.activations_max is distinct from case when e.amount_max is not null then greatest(e.amount_max, l.activations) end)
""",
    ),
    Invariant(
        name="lots_stay_within_their_grant",
        promises="No lot is below zero or over what was granted.",
        subject="credit_lot",
        scope=Scope.lot,
        sql="""
select l.id as lot, l.granted, l.taken, l.spent, l.repaid, l.recovered, l.remaining, l.shortfall
from credit_lot l
where l.tenant_id = $1 /*only l.id*/
  and (l.remaining < 0 or l.shortfall < 0 or l.taken > l.granted or l.spent + l.repaid > l.granted + l.recovered
       or l.recovered > l.spent or (not l.is_expired and l.remaining - l.shortfall <> l.granted + l.recovered - l.taken - l.spent - l.repaid))
""",
    ),
    Invariant(
        name="lots_equal_their_movements",
        promises="What a lot holds is provable from its movements, kind by kind; only an expired lot has expired credits.",
        subject="credit_lot",
        scope=Scope.lot,
        sql="""
select l.id as lot, l.granted, moved.granted as moved_granted, l.taken, moved.taken as moved_taken, l.spent, moved.spent as moved_spent,
  l.repaid, moved.repaid as moved_repaid, l.recovered, moved.recovered as moved_recovered, moved.expired as moved_expired
from credit_lot l
cross join lateral (
  select coalesce(sum(m.amount) filter (where m.kind in ('granted', 'adjusted')), 0)::bigint as granted,
    -coalesce(sum(m.amount) filter (where m.kind in ('taken', 'restored')), 0)::bigint as taken,
    -coalesce(sum(m.amount) filter (where m.kind in ('spent', 'returned')), 0)::bigint as spent,
    -coalesce(sum(m.amount) filter (where m.kind = 'repaid'), 0)::bigint as repaid,
    coalesce(sum(m.amount) filter (where m.kind = 'recovered'), 0)::bigint as recovered,
    -coalesce(sum(m.amount) filter (where m.kind = 'expired'), 0)::bigint as expired
  from credit_movement m where m.tenant_id = l.tenant_id and m.lot_id = l.id
) as moved
where l.tenant_id = $1 /*only l.id*/
  and ((l.granted, l.taken, l.spent, l.repaid, l.recovered)
         <> (moved.granted, moved.taken, moved.spent, moved.repaid, moved.recovered)
       or moved.expired not between 0 and case when l.is_expired then l.granted + l.recovered else 0 end)
""",
    ),
    Invariant(
        name="spends_equal_their_movements",
        promises="What was spent was taken from lots of its pools, and what was returned went back.",
        subject="credit_spend",
        scope=Scope.spend,
        sql="""
select s.id as spend, s.reference, s.amount, s.returned, moved.spent as moved_spent, moved.returned as moved_returned
from credit_spend s
cross join lateral (
  select -coalesce(sum(m.amount) filter (where m.kind = 'spent'), 0)::bigint as spent,
    coalesce(sum(m.amount) filter (where m.kind = 'returned'), 0)::bigint as returned,
    coalesce(bool_or(l.pool <> s.pool and l.pool <> all(s.pools)), false) as is_elsewhere
  from credit_movement m
  join credit_lot l on l.tenant_id = m.tenant_id and l.id = m.lot_id
  where m.tenant_id = s.tenant_id and m.spend_id = s.id
) as moved
where s.tenant_id = $1 /*only s.id*/
  and (moved.spent <> s.amount or moved.returned <> case when s.returned then s.amount else 0 end or moved.is_elsewhere)
""",
    ),
    Invariant(
        name="activations_are_counted",
        promises="A licence counts as many activations as it has, and no more than it allows.",
        subject="licence",
        scope=Scope.licence,
        sql="""
select l.id as licence, l.activations, counted.activations as activation_rows, l.activations_max
from licence l
cross join lateral (
  select count(*) as activations from licence_activation a where a.tenant_id = l.tenant_id and a.licence_id = l.id
) as counted
where l.tenant_id = $1 /*only l.id*/ and (l.activations <> counted.activations or l.activations > l.activations_max)
""",
    ),
)
