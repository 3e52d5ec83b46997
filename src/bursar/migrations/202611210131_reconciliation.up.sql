-- Reconciliation: what a gateway has, compared with what we were told, object by object.
create table reconciliation_run (
  tenant_id uuid not null,
  id uuid not null,
  gateway_account_id uuid not null,
  actor text not null check (length(actor) between 1 and 200),
  state text not null check (state in ('listing', 'settling', 'done', 'failed')),
  kinds text[] not null check (cardinality(kinds) between 1 and 20),
  sinces timestamptz[] not null,              -- from when each kind is listed; null: all of it
  until timestamptz not null,
  kinds_done smallint not null default 0 check (kinds_done between 0 and cardinality(kinds)),
  cursor text check (length(cursor) <= 1000), -- where the gateway's list of the kind under way goes on
  pages integer not null default 0 check (pages >= 0),   -- counts the pages of all kinds; who read an older count writes nothing
  objects bigint not null default 0 check (objects >= 0),
  matched bigint not null default 0 check (matched >= 0),
  missing_here bigint not null default 0 check (missing_here >= 0),
  missing_there bigint not null default 0 check (missing_there >= 0),
  amount bigint not null default 0 check (amount >= 0),
  currency bigint not null default 0 check (currency >= 0),
  status bigint not null default 0 check (status >= 0),
  fee bigint not null default 0 check (fee >= 0),
  timing bigint not null default 0 check (timing >= 0),
  error text check (length(error) <= 2000),
  started_at timestamptz not null,
  listed_at timestamptz,
  updated_at timestamptz not null default clock_timestamp(),
  finished_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, gateway_account_id) references gateway_account (tenant_id, id),
  constraint reconciliation_run_sinces check (cardinality(sinces) = cardinality(kinds)),
  constraint reconciliation_run_ends check ((state in ('done', 'failed')) = (finished_at is not null)),
  constraint reconciliation_run_fails check (state <> 'failed' or error is not null)
) with (fillfactor = 50);
create unique index reconciliation_run_one on reconciliation_run (tenant_id, gateway_account_id) where state in ('listing', 'settling');
create index reconciliation_run_good on reconciliation_run (tenant_id, gateway_account_id, finished_at) where state = 'done';

create table reconciliation_page (             -- what the gateway listed, of the kind under way only: it goes when the kind is done
  tenant_id uuid not null,
  run_id uuid not null,
  number integer not null,
  kind text collate "C" not null,
  refs text[] collate "C" not null,
  primary key (tenant_id, run_id, number),
  foreign key (tenant_id, run_id) references reconciliation_run (tenant_id, id)
);

create table reconciliation_difference (       -- what matches is only counted
  tenant_id uuid not null,
  id uuid not null,
  gateway_account_id uuid not null,
  run_id uuid not null,                       -- the run that found it
  last_run_id uuid not null,                  -- the last run that saw it
  kind text collate "C" not null check (length(kind) between 1 and 60),
  ref text collate "C" not null check (length(ref) between 1 and 255),
  class text not null check (class in ('missing_here', 'missing_there', 'amount', 'currency', 'status', 'fee', 'timing')),
  here jsonb,
  there jsonb,
  made_at timestamptz,                        -- when the gateway made the object, if it says so
  state text not null check (state in ('waiting', 'repairing', 'repaired', 'open', 'closed')),
  why text not null check (length(why) between 1 and 60),
  detail text check (length(detail) <= 500),
  event_id uuid,                              -- the report by which it is repaired, or which is under way
  reported_at timestamptz,                    -- the gateway's time of what was fetched
  found_at timestamptz not null default clock_timestamp(),
  seen_at timestamptz not null default clock_timestamp(),
  settled_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, run_id) references reconciliation_run (tenant_id, id),
  foreign key (tenant_id, last_run_id) references reconciliation_run (tenant_id, id),
  constraint reconciliation_difference_settled check ((state in ('repaired', 'closed')) = (settled_at is not null)),
  constraint reconciliation_difference_repairs check (state <> 'repairing' or (event_id is not null and reported_at is not null))
) with (fillfactor = 85);
create unique index reconciliation_difference_once on reconciliation_difference (tenant_id, gateway_account_id, kind, ref)
  where state in ('waiting', 'repairing', 'open');
create index reconciliation_difference_run on reconciliation_difference (tenant_id, last_run_id, id);

create table balance_transaction (             -- what the gateway booked on the account's balance, and what it kept of it
  tenant_id uuid not null,
  gateway_account_id uuid not null,
  ref text collate "C" not null check (length(ref) between 1 and 255),
  kind text collate "C" not null check (length(kind) <= 100),  -- the gateway's word: charge, refund, payout, …
  source_ref text collate "C",
  amount_minor bigint not null,               -- below zero for what went out
  fee_minor bigint not null,
  net_minor bigint not null,
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  is_available boolean not null,
  available_at timestamptz,
  created_at timestamptz not null,
  first_seen_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, gateway_account_id, ref),
  foreign key (tenant_id, gateway_account_id) references gateway_account (tenant_id, id)
);
create index balance_transaction_made on balance_transaction (tenant_id, gateway_account_id, created_at);

-- What we have of a gateway's objects within a window of time.
create index payment_made on payment (tenant_id, gateway_account_id, created_at);

do $$
declare t text;
begin
  foreach t in array array['reconciliation_run', 'reconciliation_page', 'reconciliation_difference', 'balance_transaction'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format($p$create policy tenant_only on %I to bursar_app
      using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
      with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)$p$, t);
  end loop;
end $$;
create policy engine_reads on reconciliation_run for select to bursar_engine using (true);
grant select, insert, update on reconciliation_run, reconciliation_difference, balance_transaction to bursar_app;
grant select, insert, delete on reconciliation_page to bursar_app;
grant select on reconciliation_run to bursar_engine;
