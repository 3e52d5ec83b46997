"""What rules look at: one statement each, for all tenants at once. Run as the engine, which sees the columns named here and no others.

Each begins with the rule as it holds for everybody it is about: the tenant's own numbers, else the installation's, else the default.
$1 now, $2 the rule's name, $3 threshold, $4 window in seconds, $5 severity, $6 whether it is on by default. A look-up by tenant is one
probe of an index; what is counted is counted up to a bound, so that the question stays cheap when the answer is bad.
"""

from typing import Final

from bursar.backups import DAMAGED
from bursar.money.trail import OLDEST_UNSEALED

COUNTED_MAX: Final = 20_000
PAYMENTS_LEAST: Final = 5
"""So many must have ended before a share of them says anything."""
FAILURES_LEAST: Final = 2
"""One declined card is nobody's outage, however few others paid meanwhile."""
REQUESTS_LEAST: Final = 20

_NOBODY = "'00000000-0000-0000-0000-000000000000'::uuid"

_CHOSEN = f"""select w.tenant_id, coalesce(own.threshold, ours.threshold, $3::float8) as threshold,
    $1::timestamptz - make_interval(secs => coalesce(own.window_s, ours.window_s, $4::integer)) as since,
    coalesce(own.severity, ours.severity, $5::text) as severity
  from {{whose}} as w
  left join alert_rule own on own.tenant_id = w.tenant_id and own.rule = $2::text
  left join alert_rule ours on ours.tenant_id = {_NOBODY} and ours.rule = $2
  where coalesce(own.is_on, ours.is_on, $6::boolean)"""

_OF_TENANTS = f"rule as materialized ({_CHOSEN.format(whose='(select tenant_id from tenant)')})"
_OF_ALL = f"rule as materialized ({_CHOSEN.format(whose=f'(select tenant_id from tenant union all select {_NOBODY})')})"
_OF_INSTALLATION = f"rule as materialized ({_CHOSEN.format(whose=f'(select {_NOBODY} as tenant_id)')})"

BOUND: Final = f"""
with {_OF_INSTALLATION}
select threshold, extract(epoch from $1 - since)::integer as window_s, severity from rule
"""
"""The rule as it holds for the installation; for sources that are functions. No row: it is off."""

PAYMENT_FAILURES: Final = f"""
with {_OF_TENANTS}
select r.tenant_id, f.subject::text as subject, r.severity, 100.0 * f.failed / f.ended as value, f.failed as failures,
  format('%s of %s payments failed', f.failed, f.ended) as detail
from rule r
cross join lateral (
  select gateway_account_id as subject, coalesce(sum(payments) filter (where status = 'failed'), 0)::bigint as failed, sum(payments)::bigint as ended
  from payment_tally t
  where t.tenant_id = r.tenant_id and t.quarter >= date_bin('15 minutes', r.since, timestamptz '2000-01-01 00:00+00')
    and t.status in ('succeeded', 'failed')
  group by gateway_account_id
) f
where f.ended >= {PAYMENTS_LEAST} and f.failed >= {FAILURES_LEAST} and 100.0 * f.failed / f.ended > r.threshold
"""

WEBHOOK_FAILURES: Final = f"""
with {_OF_TENANTS}
select r.tenant_id, f.subject::text as subject, r.severity, f.failures, f.failures::float8 as value,
  format('%s rest as dead letters; the newest since %s', f.failures, to_char(f.at at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')) as detail
from rule r
cross join lateral (
  select e.gateway_account_id as subject, count(*) as failures, max(d.at) as at
  from (select tenant_id, event_id, at from gateway_event_dead where tenant_id = r.tenant_id limit {COUNTED_MAX}) d
  join gateway_event e on e.tenant_id = d.tenant_id and e.id = d.event_id
  group by e.gateway_account_id
) f
where f.failures > r.threshold
"""

DELIVERIES_REFUSED: Final = f"""
with {_OF_TENANTS}
select r.tenant_id, 'signatures' as subject, r.severity, f.failures, f.failures::float8 as value,
  format('%s deliveries were refused for their signature', f.failures) as detail
from rule r
cross join lateral (
  select coalesce(sum(count), 0)::bigint as failures from security_event s
  where s.tenant_id = r.tenant_id and s.hour >= date_trunc('hour', r.since) and s.last_at >= r.since and s.kind = 'signature_refused'
) f
where f.failures > r.threshold
"""

UNMATCHED_MONEY: Final = f"""
with {_OF_TENANTS}
select r.tenant_id, f.subject::text as subject, r.severity, f.failures, f.failures::float8 as value,
  format('%s payments wait for somebody to say what they are for', f.failures) as detail
from rule r
cross join lateral (
  select gateway_account_id as subject, count(*) as failures from (
    select gateway_account_id, first_seen_at, merged_into from purchase
    where tenant_id = r.tenant_id and is_paid and unmatched_reason is not null limit {COUNTED_MAX}) p
  where p.first_seen_at < r.since and p.merged_into is null
  group by gateway_account_id
) f
where f.failures > r.threshold
"""

UNKNOWN_CALLS: Final = f"""
with {_OF_TENANTS}
select r.tenant_id, f.subject::text as subject, r.severity, f.failures, f.failures::float8 as value,
  format('of %s calls nobody knows whether they were done', f.failures) as detail
from rule r
cross join lateral (
  select gateway_account_id as subject, count(*) as failures from (
    select gateway_account_id, state from gateway_call
    where tenant_id = r.tenant_id and state in ('asked', 'unknown') limit {COUNTED_MAX}) c
  where c.state = 'unknown'
  group by gateway_account_id
) f
where f.failures > r.threshold
"""

UNFINISHED_SAGAS: Final = f"""
with {_OF_TENANTS}
select r.tenant_id, 'sagas' as subject, r.severity, f.failures, f.failures::float8 as value,
  format('%s stopped where only a person can go on', f.failures) as detail
from rule r
cross join lateral (
  select count(*) as failures from (
    select from saga where tenant_id = r.tenant_id and state in ('stuck', 'needs_hands') limit {COUNTED_MAX}) s
) f
where f.failures > r.threshold
"""

BROKEN_INVARIANT: Final = f"""
with {_OF_TENANTS}
select r.tenant_id, left(f ->> 'name', 200) as subject, r.severity, n.failures, n.failures::float8 as value,
  left(coalesce(f ->> 'promises', ''), 400) as detail
from rule r
join invariant_sweep s on s.tenant_id = r.tenant_id and s.failures <> '[]'
cross join lateral jsonb_array_elements(s.failures) as f
cross join lateral (select greatest(jsonb_array_length(coalesce(f -> 'offending', '[]')), 1)::bigint as failures) as n
where n.failures > r.threshold
"""

BOOKS_BROKEN: Final = f"""
with {_OF_INSTALLATION}
select r.tenant_id, 'businesses' as subject, r.severity, f.failures, f.failures::float8 as value,
  format('%s businesses have rows that break an invariant', f.failures) as detail
from rule r
cross join lateral (select count(*) as failures from invariant_sweep where failures <> '[]') f
where f.failures > r.threshold
"""

DISPUTES_DUE: Final = f"""
with {_OF_TENANTS}
select r.tenant_id, 'disputes' as subject, r.severity, f.failures, f.failures::float8 as value,
  format('%s disputes wait for an answer; the first is due %s', f.failures, to_char(f.first_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')) as detail
from rule r
cross join lateral (
  select count(*) as failures, min(due_by) as first_at from (
    select due_by from dispute
    where tenant_id = r.tenant_id and status = 'needs_response' and due_by > $1 and due_by <= $1 + ($1 - r.since) limit {COUNTED_MAX}) d
) f
where f.failures > r.threshold
"""

CIRCUIT_OPEN: Final = f"""
with {_OF_ALL}
select r.tenant_id, left(c.subject || ' ' || c.operation, 200) as subject, r.severity, 1 as failures, 1::float8 as value,
  format('no calls since %s', to_char(c.since at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')) as detail
from rule r
join circuit c on c.tenant_id = r.tenant_id
where c.state <> 'closed' and c.since < r.since and 1 > r.threshold
"""

DEAD_JOBS: Final = f"""
with {_OF_ALL}
select r.tenant_id, f.kind as subject, r.severity, f.failures, f.failures::float8 as value,
  format('%s were given up and wait for a replay', f.failures) as detail
from rule r
cross join lateral (
  select kind, count(*) as failures from (
    select kind from job where tenant_id = r.tenant_id and state = 'dead' limit {COUNTED_MAX}) j
  where kind <> 'alerts.send_notice'
  group by kind
) f
where f.failures > r.threshold
"""

CHANNEL_FAILING: Final = f"""
with {_OF_ALL}
select r.tenant_id, c.id::text as subject, r.severity, c.failures_running::bigint as failures, c.failures_running::float8 as value,
  left(format('%s: %s', c.name, c.failure), 400) as detail
from rule r
join alert_channel c on c.tenant_id = r.tenant_id
where c.is_on and c.failures_running > r.threshold
"""

EVENTS_WAITING: Final = f"""
with {_OF_INSTALLATION}
select r.tenant_id, 'events' as subject, r.severity, 0 as failures, f.age_s as value,
  format('%s events are due; the oldest has waited %s s', f.due, round(f.age_s)) as detail
from rule r
cross join lateral (
  select count(*) as due, coalesce(extract(epoch from $1 - min(run_at)), 0)::float8 as age_s
  from (select run_at from gateway_event_queue limit {COUNTED_MAX}) q where run_at <= $1
) f
where f.age_s > r.threshold
"""

JOBS_WAITING: Final = f"""
with {_OF_INSTALLATION}
select r.tenant_id, f.kind as subject, r.severity, 0 as failures, f.age_s as value,
  format('%s are due; the oldest has waited %s s', f.due, round(f.age_s)) as detail
from rule r
cross join lateral (
  select kind, count(*) as due, extract(epoch from $1 - min(run_at))::float8 as age_s
  from (select kind, run_at from job where state = 'ready' limit {COUNTED_MAX}) j where run_at <= $1
  group by kind
) f
where f.age_s > r.threshold
"""

ERROR_RATE: Final = f"""
with {_OF_INSTALLATION}
select r.tenant_id, 'api' as subject, r.severity, f.errors as failures, (100.0 * f.errors / f.requests)::float8 as value,
  format('%s of %s requests failed', f.errors, f.requests) as detail
from rule r
cross join lateral (
  select coalesce(sum(requests), 0)::bigint as requests, coalesce(sum(errors), 0)::bigint as errors
  from request_tally where minute >= date_trunc('minute', r.since)
) f
where f.requests >= {REQUESTS_LEAST} and 100.0 * f.errors / f.requests > r.threshold
"""

SLOW_ANSWERS: Final = f"""
with {_OF_INSTALLATION}
select r.tenant_id, 'api' as subject, r.severity, f.slow as failures, (100.0 * f.slow / f.requests)::float8 as value,
  format('%s of %s requests took more than a second', f.slow, f.requests) as detail
from rule r
cross join lateral (
  select coalesce(sum(requests), 0)::bigint as requests, coalesce(sum(slow), 0)::bigint as slow
  from request_tally where minute >= date_trunc('minute', r.since)
) f
where f.requests >= {REQUESTS_LEAST} and 100.0 * f.slow / f.requests > r.threshold
"""

AUDIT_UNSEALED: Final = f"""
with {_OF_INSTALLATION}
select r.tenant_id, 'audit' as subject, r.severity, 0 as failures, f.age_s as value,
  format('the oldest has waited %s s', round(f.age_s)) as detail
from rule r
cross join lateral (select coalesce(extract(epoch from $1 - o.at), 0)::float8 as age_s from ({OLDEST_UNSEALED}) as o) f
where f.age_s > r.threshold
"""

BACKUP_FAILED: Final = f"""
with {_OF_INSTALLATION}
select r.tenant_id, 'backup' as subject, r.severity, 1 as failures, 1::float8 as value,
  left(format('%s (at %s)', b.failure, to_char(b.failed_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')), 500) as detail
from rule r
join backup_standing b on b.failure is not null
where 1 > r.threshold
"""

BACKUP_DAMAGED: Final = f"""
with {_OF_INSTALLATION}
select r.tenant_id, left(b.name, 200) as subject, r.severity, 1 as failures, 1::float8 as value, left(b.failure, 500) as detail
from rule r
cross join ({DAMAGED}) b
where 1 > r.threshold
"""

# What failed, without the figures that follow it: the object that is damaged, the names of the checks.
DRILL_FAILED: Final = f"""
with {_OF_INSTALLATION}
select r.tenant_id, 'drill' as subject, r.severity, 1 as failures, 1::float8 as value,
  left(format('%s (begun %s)', d.failure, to_char(d.began_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI "UTC"')), 500) as detail,
  left(split_part(d.failure, ':', 1) || coalesce((
    select ' ' || string_agg(c ->> 'name', ' ' order by c ->> 'name') from jsonb_array_elements(d.checks) c where not (c ->> 'ok')::boolean), ''), 200) as cause
from rule r
cross join lateral (
  select state, failure, checks, began_at from backup_drill where state in ('passed', 'failed') order by began_at desc limit 1
) d
where d.state = 'failed' and 1 > r.threshold
"""
