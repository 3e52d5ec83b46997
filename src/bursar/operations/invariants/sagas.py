"""What has several steps: none stops without a reason, none is done twice, and what is undone is undone whole."""

from typing import Final

from bursar.operations.invariants.invariant import Invariant, Scope

SAGAS: Final = (
    Invariant(
        name="open_sagas_move_or_wait",
        promises="A saga that is open has an open call, or is stuck at one of which nobody can tell, or needs hands because a step was refused.",
        subject="saga",
        scope=Scope.whole,
        sql="""
select s.id as saga, s.kind, s.state, s.subject
from saga s
where s.tenant_id = $1 and s.state in ('running', 'compensating', 'stuck', 'needs_hands') and not exists (
  select from saga_step t left join gateway_call c on c.tenant_id = t.tenant_id and c.id = t.call_id
  where t.tenant_id = s.tenant_id and t.saga_id = s.id and case s.state
    when 'stuck' then t.state = 'unknown' and c.state in ('unknown', 'asked')
    when 'needs_hands' then t.state = 'refused'
    else t.state = 'asked' and c.state = 'asked' end
)
""",
    ),
    Invariant(
        name="saga_steps_are_as_their_calls",
        promises="A step is asked, done or unknown exactly when its call is; so none is done twice.",
        subject="saga_step",
        scope=Scope.never,
        sql="""
select t.saga_id as saga, t.number, t.name, t.state, c.id as gateway_call, c.state as call_state
from saga_step t join gateway_call c on c.tenant_id = t.tenant_id and c.id = t.call_id
where t.tenant_id = $1 and case t.state
  when 'asked' then c.state <> 'asked'
  when 'done' then c.state <> 'succeeded'
  when 'unknown' then c.state not in ('unknown', 'asked')
  else c.state in ('asked', 'unknown') end
""",
    ),
    Invariant(
        name="sagas_end_whole",
        promises="A completed saga has done every step that was needed; of a compensated one, everything that was done is undone.",
        subject="saga",
        scope=Scope.never,
        sql="""
select s.id as saga, s.kind, s.state, t.number, t.name, t.state as step_state
from saga s join saga_step t on t.tenant_id = s.tenant_id and t.saga_id = s.id
where s.tenant_id = $1 and (
  s.state = 'completed' and (t.state not in ('done', 'skipped') or t.compensates is not null)
  or s.state = 'compensated' and t.compensates is null and t.state = 'done' and not exists (
    select from saga_step b where b.tenant_id = t.tenant_id and b.saga_id = t.saga_id and b.compensates = t.number and b.state = 'done')
)
""",
    ),
    Invariant(
        name="sagas_give_back_what_they_said",
        promises="What a saga gave back is one refund, of the amount and in the currency that it said.",
        subject="saga",
        scope=Scope.never,
        sql="""
select s.id as saga, r.id as refund, r.amount_minor, r.currency, s.amount_minor as said_minor, s.currency as said_currency
from saga s
join saga_step t on t.tenant_id = s.tenant_id and t.saga_id = s.id and t.name = 'refund' and t.state = 'done'
join gateway_call c on c.tenant_id = t.tenant_id and c.id = t.call_id
join refund r on r.tenant_id = c.tenant_id and r.gateway_account_id = c.gateway_account_id and r.gateway_ref = c.ref
where s.tenant_id = $1 and (r.amount_minor <> s.amount_minor or r.currency <> s.currency)
""",
    ),
    Invariant(
        name="open_changes_have_an_open_call",
        promises="A change of a subscription is open exactly while its call has no outcome that anybody knows.",
        subject="subscription_change",
        scope=Scope.whole,
        sql="""
select c.subscription_id as subscription, g.id as gateway_call, g.state, c.is_open
from subscription_change c join gateway_call g on g.tenant_id = c.tenant_id and g.id = c.call_id
where c.tenant_id = $1 and c.is_open and g.state not in ('asked', 'unknown')
union all
select c.subscription_id, g.id, g.state, c.is_open
from gateway_call g join subscription_change c on c.tenant_id = g.tenant_id and c.call_id = g.id
where g.tenant_id = $1 and g.state = 'asked' and not c.is_open
""",
    ),
)
