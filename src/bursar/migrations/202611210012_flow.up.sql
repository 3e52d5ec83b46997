-- What was answered to requests that carried an Idempotency-Key. The row is written in the transaction of the effect, so that
-- there is an answer exactly where there is an effect. A row past its time counts for nothing and is cleaned away.
create table idempotency_answer (
  tenant_id uuid not null references tenant,
  holder text collate "C" not null check (length(holder) between 1 and 100),    -- who asked: key:key_…, user:usr_…
  route text collate "C" not null check (length(route) between 1 and 200),      -- method and template
  key text collate "C" not null check (length(key) between 1 and 255),
  request_sha256 bytea not null check (length(request_sha256) = 32),
  status smallint not null check (status between 200 and 399),
  headers jsonb not null,
  body bytea,                                 -- sealed; null when the answer was too long, or a stream
  answered_at timestamptz not null,
  expires_at timestamptz not null check (expires_at > answered_at),
  primary key (tenant_id, holder, route, key)
);
create index idempotency_answer_expires on idempotency_answer (tenant_id, expires_at);

alter table idempotency_answer enable row level security;
alter table idempotency_answer force row level security;
create policy tenant_only on idempotency_answer to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update, delete on idempotency_answer to bursar_app;
