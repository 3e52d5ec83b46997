-- What we ask of gateways: written down before it is asked, with bytes that never change, until its outcome is known.
create table gateway_call (
  tenant_id uuid not null references tenant,
  id uuid not null,
  gateway_account_id uuid not null,
  key text collate "C" not null check (length(key) between 1 and 255),   -- whoever asks names it, so that asking twice is once
  operation text collate "C" not null check (operation ~ '^[a-z][a-z0-9_]{0,59}$'),
  subject text collate "C" not null check (length(subject) between 1 and 100),   -- public id of what it is about
  asker text collate "C" not null check (length(asker) <= 60),           -- who is told the outcome; empty: nobody
  actor text not null check (length(actor) <= 200),
  request bytea not null check (length(request) between 1 and 8388608),
  state text not null default 'asked' check (state in ('asked', 'succeeded', 'refused', 'unknown')),
  attempts integer not null default 0 check (attempts >= 0),  -- times it was sent
  key_number integer not null default 1 check (key_number >= 1),   -- a new key is used only when the old one surely did nothing
  in_doubt boolean not null default false,                     -- something that was sent may have been done
  must_look boolean not null default false,                    -- repeating the key is useless: look before anything else
  first_sent_at timestamptz,                                   -- with this key
  last_sent_at timestamptz,
  object_kind text,                                            -- what was answered
  ref text,
  url bytea,                                                   -- sealed: it opens something
  event_id uuid,                                               -- the event that reports the answer
  error_kind text,
  error_code text check (length(error_code) <= 100),
  error_message text check (length(error_message) <= 500),
  correlation_id text check (length(correlation_id) <= 128),
  created_at timestamptz not null default clock_timestamp(),
  ended_at timestamptz,
  primary key (tenant_id, id),
  constraint gateway_call_once unique (tenant_id, key),
  constraint gateway_call_ends check ((state = 'asked') = (ended_at is null)),
  constraint gateway_call_sent check ((attempts = 0) = (last_sent_at is null)),
  foreign key (tenant_id, gateway_account_id) references gateway_account (tenant_id, id)
) with (fillfactor = 80);
create index gateway_call_subject on gateway_call (tenant_id, subject, id);
create index gateway_call_open on gateway_call (tenant_id, id) where state in ('asked', 'unknown');
alter table gateway_call enable row level security;
alter table gateway_call force row level security;
create policy tenant_only on gateway_call to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on gateway_call to bursar_app;

-- A refund that we ask for is a row before the gateway knows it, and becomes the one that is reported.
alter table refund alter column gateway_ref drop not null,
  add column is_asked boolean not null default false,         -- we asked for it
  add column asked_by text check (length(asked_by) <= 200),
  add column asked_reason text check (length(asked_reason) <= 500),
  add column failure text check (length(failure) <= 500),     -- why the gateway refused it
  add column same_as uuid,                                    -- the reported one that turned out to be this
  add constraint refund_told check (gateway_ref is not null or is_asked),
  add constraint refund_asked check (is_asked = (asked_by is not null));
-- What is asked for and not settled, and how much could be promised when it was last asked: never more.
alter table payment add column promised_minor bigint not null default 0, add column promisable_minor bigint not null default 0,
  add constraint payment_promises check (promised_minor between 0 and promisable_minor);
