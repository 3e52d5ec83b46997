-- What we answer to disputes: said, shown, handed to the bank, or conceded. What came of it is told by the calls, and by what the gateway reports.
create table dispute_answer (
  tenant_id uuid not null references tenant,
  id uuid not null,
  dispute_id uuid not null,
  kind text not null check (kind in ('evidence', 'acceptance')),
  is_final boolean not null,                    -- once and for all
  of_inquiry boolean not null,                  -- given while it was an early warning, which may become a dispute that is answered again
  texts jsonb not null default '{}',
  call_id uuid,                                 -- what answers; none until every file lies at the gateway
  is_open boolean not null default true,        -- no outcome that anybody knows
  failure_code text check (length(failure_code) <= 100),
  failure text check (length(failure) between 1 and 500),   -- why the gateway refused it
  actor text not null check (length(actor) <= 200),
  created_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  primary key (tenant_id, id),
  constraint dispute_answer_ends check (is_open = (ended_at is null)),
  constraint dispute_answer_fails check (failure is null or not is_open),
  constraint dispute_answer_concedes check (kind = 'evidence' or (is_final and texts = '{}')),
  foreign key (tenant_id, dispute_id) references dispute (tenant_id, id),
  foreign key (tenant_id, call_id) references gateway_call (tenant_id, id)
) with (fillfactor = 80);
-- Two answers at once would each be judged by a state that the other is about to leave.
create unique index dispute_answer_alone on dispute_answer (tenant_id, dispute_id) where is_open;
create unique index dispute_answer_final on dispute_answer (tenant_id, dispute_id, of_inquiry) where is_final and failure is null;
create index dispute_answer_dispute on dispute_answer (tenant_id, dispute_id, id);
alter table dispute_answer enable row level security;
alter table dispute_answer force row level security;
create policy tenant_only on dispute_answer to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on dispute_answer to bursar_app;

-- The files of an answer. What is in them is in the bytes of the call that lays them before the gateway, and nowhere once that has its outcome.
create table dispute_answer_file (
  tenant_id uuid not null,
  answer_id uuid not null,
  name text collate "C" not null check (length(name) between 1 and 60),
  filename text not null check (length(filename) between 1 and 100),
  content_type text not null check (content_type in ('application/pdf', 'image/jpeg', 'image/png')),
  size_bytes integer not null check (size_bytes between 1 and 4194304),
  sha256 bytea check (length(sha256) = 32),     -- none when the person was erased
  call_id uuid not null,
  primary key (tenant_id, answer_id, name),
  foreign key (tenant_id, answer_id) references dispute_answer (tenant_id, id),
  foreign key (tenant_id, call_id) references gateway_call (tenant_id, id)
);
create index dispute_answer_file_call on dispute_answer_file (tenant_id, call_id);
alter table dispute_answer_file enable row level security;
alter table dispute_answer_file force row level security;
create policy tenant_only on dispute_answer_file to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on dispute_answer_file to bursar_app;

-- That a dispute is due soon is told once for each date on which it is.
create table dispute_reminder (
  tenant_id uuid not null,
  dispute_id uuid not null,
  due_by timestamptz not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, dispute_id, due_by),
  foreign key (tenant_id, dispute_id) references dispute (tenant_id, id)
);
alter table dispute_reminder enable row level security;
alter table dispute_reminder force row level security;
create policy tenant_only on dispute_reminder to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert on dispute_reminder to bursar_app;

create index dispute_due on dispute (tenant_id, due_by) where status = 'needs_response';
