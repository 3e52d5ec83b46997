-- What customers see: how a business looks to them, which prices they may buy with a link, and where they land after paying.
create table theme (
  tenant_id uuid primary key references tenant,
  name text check (length(name) between 1 and 80),                  -- null: the business's own
  logo_url text check (logo_url ~ '^https://' and length(logo_url) <= 2000),
  accent text check (accent ~ '^#[0-9a-f]{6}$'),                    -- null: the pages' own colour
  support_email text check (length(support_email) <= 254),
  return_url text check (return_url ~ '^https?://' and length(return_url) <= 2000),
  changed_at timestamptz not null default clock_timestamp()
);
create table buy_link (                                             -- prices that anybody may buy who has the address
  tenant_id uuid not null references tenant,
  price_id uuid not null,
  gateway_account_id uuid,                                          -- null: the only one that can be asked
  is_on boolean not null,
  changed_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, price_id),
  foreign key (tenant_id, price_id) references price (tenant_id, id),
  foreign key (tenant_id, gateway_account_id) references gateway_account (tenant_id, id)
);
-- The page of a checkout at which its customer lands: only the hash of what opens it is kept. Null: the business has a page of its own.
alter table checkout add column link_sha256 bytea check (length(link_sha256) = 32);

alter table theme enable row level security;
alter table theme force row level security;
create policy tenant_only on theme to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on theme to bursar_app;
alter table buy_link enable row level security;
alter table buy_link force row level security;
create policy tenant_only on buy_link to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on buy_link to bursar_app;
