-- Identity providers whose tokens a business accepts, and the people who came with them.

create table identity_issuer (
  tenant_id uuid not null references tenant,
  id uuid not null,
  issuer text collate "C" not null check (length(issuer) between 1 and 500),
  audience text collate "C" check (length(audience) between 1 and 500),  -- null: the token names whom it was made for in azp
  authorized_parties text[] not null check (cardinality(authorized_parties) <= 50),
  algorithms text[] not null check (cardinality(algorithms) between 1 and 10
    and algorithms <@ array['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA']),
  leeway_s integer not null check (leeway_s between 0 and 300),
  subject_claim text not null check (length(subject_claim) between 1 and 200),
  email_claim text not null check (length(email_claim) between 1 and 200),
  name_claim text not null check (length(name_claim) between 1 and 200),
  roles_claim text[] not null check (cardinality(roles_claim) <= 10),    -- names from the outside in
  role_map jsonb not null check (jsonb_typeof(role_map) = 'object'),     -- value of the claim: names of roles
  default_roles text[] not null check (cardinality(default_roles) <= 20),
  created_at timestamptz not null default clock_timestamp(),
  removed_at timestamptz,
  primary key (tenant_id, id),
  constraint identity_issuer_made_for_us check (audience is not null or cardinality(authorized_parties) > 0)
);
create unique index identity_issuer_once on identity_issuer (tenant_id, issuer, audience) nulls not distinct
  where removed_at is null;
create index identity_issuer_named on identity_issuer (issuer) where removed_at is null;

create table external_user (                    -- keyed by who says so and whom it names; never by an e-mail address
  tenant_id uuid not null references tenant,
  id uuid not null,
  issuer text collate "C" not null check (length(issuer) between 1 and 500),
  subject text collate "C" not null check (length(subject) between 1 and 255),
  email text check (length(email) <= 254),      -- as the issuer told it: shown, and compared with nothing
  name text check (length(name) <= 200),
  first_seen_at timestamptz not null,
  last_seen_at timestamptz not null,
  deactivated_at timestamptz,
  primary key (tenant_id, id),
  constraint external_user_once unique (tenant_id, issuer, subject)
);

do $$
declare t text;
begin
  foreach t in array array['identity_issuer', 'external_user'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format($p$create policy tenant_only on %I to bursar_app
      using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
      with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)$p$, t);
  end loop;
end $$;

grant select, insert on identity_issuer, external_user to bursar_app;
grant update (removed_at) on identity_issuer to bursar_app;
grant update (email, name, last_seen_at, deactivated_at) on external_user to bursar_app;

-- The engine finds whose a token is that names no tenant.
grant select on identity_issuer to bursar_engine;
create policy engine_reads on identity_issuer for select to bursar_engine using (true);
