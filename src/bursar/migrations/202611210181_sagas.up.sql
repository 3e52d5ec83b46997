-- Several outgoing calls that belong together: each step names what undoes it, and what cannot be undone waits for a person.
create table saga (
  tenant_id uuid not null references tenant,
  id uuid not null,
  kind text collate "C" not null check (kind ~ '^[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+$'),
  state text not null default 'running' check (state in ('running', 'compensating', 'stuck', 'needs_hands', 'completed', 'compensated', 'settled')),
  gateway_account_id uuid not null,
  subject text collate "C" not null check (length(subject) between 1 and 100),   -- public id of what it is about
  customer_id uuid,
  plan jsonb not null,                          -- what its steps need, fixed at the start
  amount_minor bigint not null check (amount_minor > 0),   -- what is to go back
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  actor text not null check (length(actor) <= 200),
  settled_by text check (length(settled_by) <= 200),       -- the person who did by hand what was left
  note text check (length(note) <= 500),
  created_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  primary key (tenant_id, id),
  constraint saga_ends check ((state in ('completed', 'compensated', 'settled')) = (ended_at is not null)),
  constraint saga_settled check ((state = 'settled') = (settled_by is not null)),
  foreign key (tenant_id, gateway_account_id) references gateway_account (tenant_id, id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id)
) with (fillfactor = 80);
-- Two at once would each be judged by a state that the other is about to leave.
create unique index saga_alone on saga (tenant_id, subject) where state in ('running', 'compensating', 'stuck');
create index saga_state on saga (tenant_id, state, id);
create index saga_subject on saga (tenant_id, subject, id);
create index saga_customer on saga (tenant_id, customer_id) where customer_id is not null;

create table saga_step (
  tenant_id uuid not null references tenant,
  saga_id uuid not null,
  number smallint not null check (number >= 1),
  name text collate "C" not null check (name ~ '^[a-z][a-z0-9_]{0,59}$'),
  compensates smallint,                         -- the step that this one undoes
  state text not null default 'waiting' check (state in ('waiting', 'asked', 'done', 'refused', 'unknown', 'skipped')),
  call_id uuid,
  about text collate "C" check (length(about) <= 100),     -- public id of what was made for it: a refund, a change
  error_code text check (length(error_code) <= 100),
  error text check (length(error) <= 500),
  asked_at timestamptz,
  ended_at timestamptz,
  primary key (tenant_id, saga_id, number),
  constraint saga_step_of_call unique (tenant_id, call_id),
  constraint saga_step_undone_once unique (tenant_id, saga_id, compensates),
  constraint saga_step_undoes_earlier check (compensates < number),
  constraint saga_step_asked check (state not in ('asked', 'done', 'unknown') or call_id is not null),
  constraint saga_step_not_asked check (state not in ('waiting', 'skipped') or call_id is null),
  constraint saga_step_ends check ((state in ('done', 'refused', 'skipped')) = (ended_at is not null)),
  foreign key (tenant_id, saga_id) references saga (tenant_id, id),
  foreign key (tenant_id, call_id) references gateway_call (tenant_id, id)
) with (fillfactor = 80);

do $$ declare name text; begin
  foreach name in array array['saga', 'saga_step'] loop
    execute format('alter table %I enable row level security', name);
    execute format('alter table %I force row level security', name);
    execute format($f$create policy tenant_only on %I to bursar_app
      using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
      with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)$f$, name);
    execute format('grant select, insert, update on %I to bursar_app', name);
  end loop;
end $$;
