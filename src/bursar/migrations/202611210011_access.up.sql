-- What a key may do and from where; a business's own roles.

alter table api_key
  add column scopes text[] constraint api_key_scopes_named check (cardinality(scopes) between 1 and 200), -- null: all there are, now and later
  add column allowed_addresses cidr[] not null default '{}'
    constraint api_key_allowed_addresses_few check (cardinality(allowed_addresses) <= 50),                -- empty: from anywhere
  add column expires_at timestamptz,
  add column last_used_at timestamptz,
  add column last_used_address inet,
  add column successor_id uuid,
  add constraint api_key_name_length check (length(name) between 1 and 200),
  add constraint api_key_successor foreign key (tenant_id, successor_id) references api_key (tenant_id, id),
  add constraint api_key_successor_other check (successor_id <> id);

create table role (
  tenant_id uuid not null references tenant,
  id uuid not null,
  name text collate "C" not null constraint role_name_form check (name ~ '^[a-z][a-z0-9-]{0,49}$'),
  permissions text[] not null constraint role_permissions_few check (cardinality(permissions) between 1 and 200),
  created_at timestamptz not null default clock_timestamp(),
  changed_at timestamptz not null default clock_timestamp(),
  deleted_at timestamptz,
  primary key (tenant_id, id)
);
create unique index role_name_once on role (tenant_id, name) where deleted_at is null;

alter table role enable row level security;
alter table role force row level security;
create policy tenant_only on role to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on role to bursar_app;

-- What a key is and whose never changes.
revoke update on api_key from bursar_app;
grant update (expires_at, last_used_at, last_used_address, successor_id, revoked_at) on api_key to bursar_app;
