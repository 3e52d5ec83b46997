-- Who comes to a business's own pages: signing in by mail, the sessions that follow, and what opens the page of one booking.
create table visitor_sign_in (                   -- somebody says that an address is his; the mail that proves it is written when it is sent
  tenant_id uuid not null references tenant,
  id uuid not null,
  email text not null check (length(email) between 3 and 254),   -- in the one spelling in which customers are looked for
  asked_sha256 bytea not null check (length(asked_sha256) = 32), -- what the browser holds in which it was asked: a code is good only there
  link_sha256 bytea check (length(link_sha256) = 32),            -- null until the mail is written
  code_mac bytea check (length(code_mac) = 32),                  -- under the installation's key: a code is short
  guesses integer not null default 0 check (guesses >= 0),
  next text not null default '' check (length(next) <= 300),     -- where to go on afterwards
  expires_at timestamptz not null,
  used_at timestamptz,
  created_at timestamptz not null,
  primary key (tenant_id, id)
);
create index visitor_sign_in_over on visitor_sign_in (tenant_id, expires_at);

create table visitor_session (                   -- a browser in which somebody has shown that an address is his
  tenant_id uuid not null references tenant,
  id uuid not null,
  email text not null check (length(email) between 3 and 254),
  token_sha256 bytea not null check (length(token_sha256) = 32),
  user_agent text not null check (length(user_agent) <= 200),
  address text not null check (length(address) <= 64),
  created_at timestamptz not null,
  last_seen_at timestamptz not null,
  expires_at timestamptz not null,
  ended_at timestamptz,
  primary key (tenant_id, id)
);
create index visitor_session_email on visitor_session (tenant_id, email);
create index visitor_session_over on visitor_session (tenant_id, expires_at);

create table booking_link (                      -- who has one sees that booking, and may cancel it; only the hash is kept
  tenant_id uuid not null references tenant,
  id uuid not null,
  booking_id uuid not null,
  secret_sha256 bytea not null check (length(secret_sha256) = 32),
  created_at timestamptz not null,
  primary key (tenant_id, id),
  foreign key (tenant_id, booking_id) references booking (tenant_id, id)
);
create index booking_link_booking on booking_link (tenant_id, booking_id);

do $$
declare t text;
begin
  foreach t in array array['visitor_sign_in', 'visitor_session', 'booking_link'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format($p$create policy tenant_only on %I to bursar_app
      using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
      with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)$p$, t);
  end loop;
end $$;

grant select, insert, update, delete on visitor_sign_in, visitor_session to bursar_app;
grant select, insert on booking_link to bursar_app;
