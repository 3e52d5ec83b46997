"""Events: each is in one place, and what was done about it is on record."""

from typing import Final

from bursar.operations.invariants.invariant import Invariant, Scope

EVENTS: Final = (
    Invariant(
        name="events_are_in_one_place",
        promises="Every stored event waits, was applied, was ignored, or rests as dead; one that waits is not dead.",
        subject="gateway_event",
        scope=Scope.event,
        sql="""
select e.id as event, e.gateway_event_id, e.type, place.is_queued, place.is_dead, place.outcomes
from gateway_event e
cross join lateral (
  select exists (select from gateway_event_queue q where q.tenant_id = e.tenant_id and q.event_id = e.id) as is_queued,
    exists (select from gateway_event_dead d where d.tenant_id = e.tenant_id and d.event_id = e.id) as is_dead,
    (select count(*) from gateway_event_outcome o where o.tenant_id = e.tenant_id and o.event_id = e.id) as outcomes
) as place
where e.tenant_id = $1 /*only e.id*/
  and ((not is_queued and not is_dead and outcomes = 0) or (is_queued and is_dead))
""",
    ),
    Invariant(
        name="dead_events_were_not_applied",
        promises="An event that was applied does not rest as dead, unless a replay of it failed.",
        subject="gateway_event_dead",
        scope=Scope.event,
        sql="""
select d.event_id as event, d.reason, o.run, o.outcome
from gateway_event_dead d
join gateway_event_outcome o on o.tenant_id = d.tenant_id and o.event_id = d.event_id
where d.tenant_id = $1 /*only d.event_id*/
  and (d.reason = 'unparseable' or o.at >= d.at)
""",
    ),
    Invariant(
        name="applied_events_are_audited",
        promises="Each time an event was applied or ignored, an audit record says so.",
        subject="gateway_event_outcome",
        scope=Scope.event,
        sql="""
select e.id as event, e.gateway_event_id, counted.outcomes, counted.records
from gateway_event e
cross join lateral (
  select (select count(*) from gateway_event_outcome o where o.tenant_id = e.tenant_id and o.event_id = e.id) as outcomes,
    (select count(*) from audit_record a where a.tenant_id = e.tenant_id and a.event_id = e.id) as records
) as counted
where e.tenant_id = $1 /*only e.id*/ and counted.records < counted.outcomes
""",
    ),
    Invariant(
        name="effects_have_an_applied_event",
        promises="Whatever an event caused, the event was applied in the same transaction.",
        subject="audit_record",
        scope=Scope.transaction,
        sql="""
select t.id as ledger_transaction, t.event_id as event
from ledger_transaction t
where t.tenant_id = $1 /*only t.id*/
  and not exists (
    select from gateway_event_outcome o where o.tenant_id = t.tenant_id and o.event_id = t.event_id and o.outcome = 'applied')
""",
    ),
    Invariant(
        name="audit_records_are_sealed",
        promises="No audit record waits for its seal while others are written ten minutes later.",
        subject="audit_record",
        scope=Scope.whole,
        sql="""
select oldest.id as audit_record, oldest.action, oldest.at, newest.at as newest_at
from (select coalesce((select s.ends from audit_seal s where s.tenant_id = $1 order by s.sequence desc limit 1), 0) as ends) as head
cross join lateral (
  select a.id, a.action, a.at from audit_record a where a.tenant_id = $1 and a.written_in >= head.ends
  order by a.written_in limit 1
) as oldest
cross join lateral (
  select a.at from audit_record a where a.tenant_id = $1 and a.written_in >= head.ends
  order by a.written_in desc limit 1
) as newest
where newest.at > oldest.at + interval '10 minutes'
""",
    ),
)
