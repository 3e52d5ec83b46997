-- Users of a tenant, what they prove themselves with, their sessions; the mail that reaches them; the installation's operators.
create table tenant_user (
  tenant_id uuid not null references tenant,
  id uuid not null,
  email text not null check (length(email) between 3 and 254),
  email_key text collate "C" not null,          -- the address as it is compared: one normal form, case folded
  name text not null check (length(name) between 1 and 200),
  roles text[] not null check (cardinality(roles) between 1 and 20),
  password_hash text check (length(password_hash) <= 200),   -- null until the invitation is accepted
  password_changed_at timestamptz,
  email_verified_at timestamptz,
  totp_secret bytea,                            -- sealed; counts only when totp_on_at says so
  totp_on_at timestamptz,
  totp_step bigint not null default 0,          -- the last time step whose code was used
  deactivated_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint tenant_user_email_once unique (tenant_id, email_key),
  constraint tenant_user_totp_has_secret check (totp_on_at is null or totp_secret is not null)
);

create table user_link (                        -- invitation, reset, verification: good once, until it expires
  tenant_id uuid not null,
  id uuid not null,
  user_id uuid not null,
  purpose text not null check (purpose in ('invitation', 'password_reset', 'email_verification')),
  secret_sha256 bytea not null check (length(secret_sha256) = 32),
  expires_at timestamptz not null,
  used_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  foreign key (tenant_id, user_id) references tenant_user (tenant_id, id)
);
create index user_link_open on user_link (tenant_id, user_id) where used_at is null;

create table recovery_code (                    -- a second factor on paper: each good once
  tenant_id uuid not null,
  id uuid not null,
  user_id uuid not null,
  code_sha256 bytea not null check (length(code_sha256) = 32),
  used_at timestamptz,                          -- also when newer codes replaced it
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint recovery_code_once unique (tenant_id, user_id, code_sha256),
  foreign key (tenant_id, user_id) references tenant_user (tenant_id, id)
);

create table session (
  tenant_id uuid not null references tenant,
  id uuid not null,
  kind text not null check (kind in ('user', 'key', 'operator')),
  user_id uuid,
  api_key_id uuid,
  operator_id uuid,                             -- null with kind 'operator': a ticket that `bursar up` printed
  token_sha256 bytea not null check (length(token_sha256) = 32),
  is_pending boolean not null default false,    -- the password was right, the code is still to come
  reason text check (length(reason) between 1 and 500),   -- why an operator acts for the business
  user_agent text not null check (length(user_agent) <= 200),
  address text not null check (length(address) <= 64),
  created_at timestamptz not null,
  last_seen_at timestamptz not null,
  expires_at timestamptz not null,
  ended_at timestamptz,
  primary key (tenant_id, id),
  foreign key (tenant_id, user_id) references tenant_user (tenant_id, id),
  foreign key (tenant_id, api_key_id) references api_key (tenant_id, id),
  constraint session_of_one check (
    (kind = 'user') = (user_id is not null) and (kind = 'key') = (api_key_id is not null)
    and (operator_id is null or kind = 'operator') and (operator_id is not null) = (reason is not null))
);
create index session_of_user on session (tenant_id, user_id, id);

create table sign_in_throttle (                 -- attempts within a window, counted before they are judged
  tenant_id uuid not null references tenant,
  counted bytea not null check (length(counted) = 32),   -- hash of what is counted: an address, an account, both
  attempts integer not null check (attempts >= 0),
  window_ends_at timestamptz not null,
  primary key (tenant_id, counted)
);
create index sign_in_throttle_over on sign_in_throttle (tenant_id, window_ends_at);

create table mail_message (                     -- what is to be told to whom; links in it are made when it is sent
  tenant_id uuid not null references tenant,
  id uuid not null,
  kind text not null,
  email text not null check (length(email) <= 254),
  created_at timestamptz not null,
  sent_at timestamptz,
  dropped text,                                 -- why it was never sent: nobody of that address, or no success in time
  primary key (tenant_id, id)
);

create table mail_queue (
  tenant_id uuid not null,
  id uuid not null,
  due_at timestamptz not null,
  attempts integer not null default 0,
  primary key (tenant_id, id),
  foreign key (tenant_id, id) references mail_message (tenant_id, id)
);
create index mail_queue_due on mail_queue (due_at);

do $$
declare t text;
begin
  foreach t in array array['tenant_user', 'user_link', 'recovery_code', 'session', 'sign_in_throttle', 'mail_message', 'mail_queue'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format($p$create policy tenant_only on %I to bursar_app
      using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
      with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)$p$, t);
  end loop;
end $$;

grant select, insert, update on tenant_user, user_link, recovery_code, session, sign_in_throttle, mail_message, mail_queue to bursar_app;
grant delete on session, sign_in_throttle, mail_queue to bursar_app;

-- the engine finds which tenants have mail that is due, and not what it says
grant select on mail_queue to bursar_engine;
create policy engine_reads on mail_queue for select to bursar_engine using (true);

-- ---------------------------------------------------------------- the installation's own people: no tenant sees them
create table operator (
  id uuid primary key,
  email text not null check (length(email) between 3 and 254),
  email_key text collate "C" not null,
  password_hash text check (length(password_hash) <= 200),
  deactivated_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  constraint operator_email_once unique (email_key)
);

create table operator_link (
  id uuid primary key,
  operator_id uuid not null references operator,
  secret_sha256 bytea not null check (length(secret_sha256) = 32),
  expires_at timestamptz not null,
  used_at timestamptz,
  created_at timestamptz not null default clock_timestamp()
);

create table operator_session (
  id uuid primary key,
  operator_id uuid not null references operator,
  token_sha256 bytea not null check (length(token_sha256) = 32),
  user_agent text not null check (length(user_agent) <= 200),
  address text not null check (length(address) <= 64),
  created_at timestamptz not null,
  last_seen_at timestamptz not null,
  expires_at timestamptz not null,
  ended_at timestamptz
);

create table operator_throttle (
  counted bytea primary key check (length(counted) = 32),
  attempts integer not null check (attempts >= 0),
  window_ends_at timestamptz not null
);

grant select, insert, update on operator, operator_link, operator_session, operator_throttle to bursar_engine;
