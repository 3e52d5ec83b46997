-- Alerts: what is wrong, told once. One open alert for each rule and what it is about; who is told, by which way, and what came of it.
-- A tenant_id of zeros is the installation's own: its operators see those, and no tenant does.
create table alert_rule (                       -- what was chosen in place of a rule's own numbers; null: the rule's own
  tenant_id uuid not null,
  rule text collate "C" not null check (rule ~ '^[a-z][a-z0-9_]{2,59}$'),
  is_on boolean,
  threshold double precision check (threshold >= 0 and threshold <= 1e12),
  window_s integer check (window_s between 60 and 2592000),
  severity text check (severity in ('critical', 'high', 'medium', 'low')),
  changed_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, rule)
);

create table alert (
  tenant_id uuid not null,
  id uuid not null,
  rule text collate "C" not null check (rule ~ '^[a-z][a-z0-9_]{2,59}$'),
  subject text collate "C" not null check (length(subject) between 1 and 200),
  severity text not null check (severity in ('critical', 'high', 'medium', 'low')),
  state text not null default 'open' check (state in ('open', 'acknowledged', 'resolved')),
  value double precision not null,              -- as last measured, in the rule's unit
  failures bigint not null default 0 check (failures >= 0),      -- what was counted behind it, at the last look
  occurrences bigint not null check (occurrences > 0),           -- failures since it began; of what cannot be counted: looks that found it
  detail text not null check (length(detail) <= 500),
  first_seen_at timestamptz not null,
  last_seen_at timestamptz not null,
  -- The watch's own numbers: looks, and seconds that passed between them. No jump of a clock moves them.
  first_look bigint not null,
  seen_look bigint not null,
  seen_s bigint not null,
  told_look bigint not null,
  told_s bigint not null,
  told_value double precision not null,
  came_back integer not null default 0 check (came_back >= 0),   -- times it was seen again soon after it had been resolved
  acknowledged_by text check (length(acknowledged_by) <= 200),
  acknowledged_at timestamptz,
  silenced_by text check (length(silenced_by) <= 200),
  silenced_until timestamptz,
  silenced_until_s bigint,
  resolved_at timestamptz,
  resolved_s bigint,
  primary key (tenant_id, id),
  constraint alert_acknowledged check ((state = 'acknowledged') <= (acknowledged_at is not null)),
  constraint alert_resolves check ((state = 'resolved') = (resolved_at is not null) and (resolved_at is null) = (resolved_s is null)),
  constraint alert_silenced check ((silenced_until is null) = (silenced_until_s is null) and (silenced_until is null) = (silenced_by is null))
) with (fillfactor = 70);
create unique index alert_open on alert (tenant_id, rule, subject) where state <> 'resolved';
create index alert_of_rule on alert (rule) where state <> 'resolved';
create index alert_before on alert (tenant_id, rule, subject, resolved_s) where state = 'resolved';
create index alert_state on alert (tenant_id, state, id);
create index alert_resolved on alert (resolved_at) where state = 'resolved';

create table alert_history (                    -- what became of an alert, append-only
  tenant_id uuid not null,
  id uuid not null,
  alert_id uuid not null,
  what text not null check (what in ('opened', 'came_back', 'reminded', 'resolved', 'acknowledged', 'silenced', 'unsilenced')),
  actor text check (length(actor) <= 200),      -- null: the watch itself
  detail text not null default '' check (length(detail) <= 500),
  at timestamptz not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, alert_id) references alert (tenant_id, id) on delete cascade
);
create index alert_history_of on alert_history (tenant_id, alert_id, id);

create table alert_channel (
  tenant_id uuid not null,
  id uuid not null,
  name text not null check (length(name) between 1 and 80),
  kind text not null check (kind in ('email', 'slack', 'pagerduty', 'sms', 'webhook')),
  url bytea not null check (length(url) <= 4096),          -- sealed: who has it can write there
  shown text not null check (length(shown) <= 200),        -- what people see of it
  is_on boolean not null default true,
  failures_running integer not null default 0 check (failures_running >= 0),
  failed_at timestamptz,
  failure text check (length(failure) <= 300),
  sent_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id)
);
create unique index alert_channel_called on alert_channel (tenant_id, name);

create table alert_route (                      -- who is told of what
  tenant_id uuid not null,
  id uuid not null,
  rule text collate "C" check (rule ~ '^[a-z][a-z0-9_]{2,59}$'),   -- null: every rule
  severity text not null check (severity in ('critical', 'high', 'medium', 'low')),   -- and what is worse
  channel_id uuid not null,
  second_id uuid,                               -- told in its place when it is down
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint alert_route_two_ways check (second_id <> channel_id),
  foreign key (tenant_id, channel_id) references alert_channel (tenant_id, id) on delete cascade,
  foreign key (tenant_id, second_id) references alert_channel (tenant_id, id) on delete set null (second_id)
);

create table alert_notice (                     -- one telling, by one way
  tenant_id uuid not null,
  id uuid not null,
  alert_id uuid,                                -- null: a test
  look bigint not null,
  what text not null check (what in ('opened', 'came_back', 'reminded', 'resolved', 'test')),
  channel_id uuid,                              -- null: the addresses of the installation's settings
  channel text not null check (length(channel) <= 200),    -- what it was called
  second_id uuid,
  first_id uuid,                                -- the notice in whose place this one is
  state text not null default 'pending' check (state in ('pending', 'sent', 'failed', 'passed_on')),
  attempts integer not null default 0 check (attempts >= 0),
  failure text check (length(failure) <= 300),
  created_at timestamptz not null,
  ended_at timestamptz,
  primary key (tenant_id, id),
  constraint alert_notice_ends check ((state = 'pending') = (ended_at is null)),
  foreign key (tenant_id, alert_id) references alert (tenant_id, id) on delete cascade
);
create unique index alert_notice_once on alert_notice (tenant_id, alert_id, look, what, channel_id) nulls not distinct where alert_id is not null;
create index alert_notice_of on alert_notice (tenant_id, alert_id, id);
create unique index alert_notice_in_place on alert_notice (tenant_id, first_id) where first_id is not null;
create index alert_notice_test on alert_notice (created_at) where alert_id is null;

create table alert_watch (                      -- when was last looked, and how long the watch has lasted
  is_only boolean primary key default true check (is_only),
  looks bigint not null default 0,
  watched_s bigint not null default 0,
  looked_at timestamptz
);
insert into alert_watch default values;

create table request_tally (                    -- what the API answered, by minute: errors are ours (5xx), slow took more than a second
  minute timestamptz primary key,
  requests bigint not null check (requests >= 0),
  errors bigint not null check (errors between 0 and requests),
  slow bigint not null check (slow between 0 and requests)
) with (fillfactor = 50);

do $$
declare t text;
begin
  foreach t in array array['alert_rule', 'alert', 'alert_history', 'alert_channel', 'alert_route', 'alert_notice'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format($p$create policy tenant_only on %I to bursar_app
      using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
      with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)$p$, t);
    execute format('create policy engine_watches on %I to bursar_engine using (true) with check (true)', t);
  end loop;
end $$;
grant select, insert, update, delete on alert_rule to bursar_app;
grant select, insert, update, delete on alert_channel to bursar_app;
grant select, insert, delete on alert_route to bursar_app;
grant select, update on alert to bursar_app;
grant select, insert on alert_history to bursar_app;
grant select, insert, update on alert_notice to bursar_app;
grant select on alert_rule, alert_route to bursar_engine;
grant select, insert, update, delete on alert, alert_notice to bursar_engine;
grant select, insert, delete on alert_history to bursar_engine;
grant select (tenant_id, id, name, is_on, failures_running, failure, failed_at) on alert_channel to bursar_engine;
grant select, update on alert_watch to bursar_engine;
grant select on alert_watch to bursar_app;
grant select, insert, update, delete on request_tally to bursar_engine;

-- The watch counts for all tenants at once. Of what others wrote it reads the columns by which it counts, and no others.
grant select (tenant_id, quarter, gateway_account_id, status, payments) on payment_tally to bursar_engine;
grant select (tenant_id, id, gateway_account_id, is_paid, unmatched_reason, merged_into, first_seen_at) on purchase to bursar_engine;
grant select (tenant_id, id, gateway_account_id, state) on gateway_call to bursar_engine;
grant select (tenant_id, id, state) on saga to bursar_engine;
grant select (tenant_id, id, status, due_by) on dispute to bursar_engine;
create policy engine_watches on payment_tally for select to bursar_engine using (true);
create policy engine_watches on purchase for select to bursar_engine using (true);
create policy engine_watches on gateway_call for select to bursar_engine using (true);
create policy engine_watches on saga for select to bursar_engine using (true);
create policy engine_watches on dispute for select to bursar_engine using (true);

-- The installation's own channels have circuits too, and the installation is no tenant.
alter table circuit drop constraint circuit_tenant_id_fkey;
