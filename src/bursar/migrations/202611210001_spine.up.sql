-- The spine: tenants, intake, merged facts, what they mean, what they granted, the books.
-- Every tenant table has tenant_id, a key (tenant_id, …), row-level security enabled and forced (end of file).

-- ---------------------------------------------------------------- tenancy
create table tenant (
  tenant_id uuid primary key,
  name text not null check (length(name) between 1 and 200),
  created_at timestamptz not null default clock_timestamp()
);

create table api_key (
  tenant_id uuid not null references tenant,
  id uuid not null,
  name text not null,
  secret_sha256 bytea not null check (length(secret_sha256) = 32),
  created_at timestamptz not null default clock_timestamp(),
  revoked_at timestamptz,
  primary key (tenant_id, id)
);

create table gateway_account (
  tenant_id uuid not null references tenant,
  id uuid not null,
  gateway text not null check (gateway in ('stripe', 'dodo', 'manual', 'sandbox')),
  name text not null,
  signing_secrets bytea[] not null,           -- each sealed with the installation's key
  api_key bytea,                              -- sealed likewise
  tolerance_s integer not null default 300 check (tolerance_s between 1 and 86400),
  is_active boolean not null default true,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id)
);
create unique index gateway_account_id on gateway_account (id, tenant_id);

-- ---------------------------------------------------------------- intake
create table gateway_event (
  tenant_id uuid not null,
  id uuid not null,
  gateway_account_id uuid not null,
  gateway_event_id text collate "C" not null check (length(gateway_event_id) between 1 and 255),
  type text collate "C" not null check (length(type) between 1 and 255),
  origin text not null default 'gateway' check (origin in ('gateway', 'operator')),
  occurred_at timestamptz not null,
  received_at timestamptz not null default clock_timestamp(),
  body_sha256 bytea not null,
  primary key (tenant_id, id),
  constraint gateway_event_once unique (tenant_id, gateway_account_id, gateway_event_id),
  foreign key (tenant_id, gateway_account_id) references gateway_account (tenant_id, id)
);
create index gateway_event_type on gateway_event (tenant_id, type, id);

create table gateway_event_body (
  tenant_id uuid not null,
  event_id uuid not null,
  received_at timestamptz not null,
  headers jsonb not null,
  body bytea not null,
  primary key (tenant_id, event_id, received_at)
) partition by range (received_at);
create table gateway_event_body_default partition of gateway_event_body default;
alter table gateway_event_body_default set (toast_tuple_target = 8160);

create table gateway_event_queue (
  tenant_id uuid not null,
  event_id uuid not null,
  gateway_account_id uuid not null,
  bucket smallint not null check (bucket between 0 and 63),
  priority smallint not null default 0,
  run_at timestamptz not null default clock_timestamp(),
  tries smallint not null default 0,
  crashes smallint not null default 0,
  error text,
  error_at timestamptz,
  primary key (tenant_id, event_id),
  foreign key (tenant_id, event_id) references gateway_event (tenant_id, id)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);
create index gateway_event_queue_pick on gateway_event_queue (bucket, priority, run_at);
create index gateway_event_queue_failed on gateway_event_queue (tenant_id, event_id) where tries > 0;

create table gateway_event_differing (         -- deliveries that repeat an event's id and not its content: the first one stands
  tenant_id uuid not null,
  event_id uuid not null,
  repeats bigint not null default 1 check (repeats > 0),
  body bytea not null,                        -- of the latest of them
  first_at timestamptz not null,
  last_at timestamptz not null,
  primary key (tenant_id, event_id),
  foreign key (tenant_id, event_id) references gateway_event (tenant_id, id)
);

-- Files events: the one statement that makes deliveries durable, and so one round trip, commit included.
-- Returns null when every event was new; else, in the order given, null for a new event and the earlier one's id for a repeated one.
create function file_gateway_events(
  by_engine boolean, ids uuid[], tenant_ids uuid[], account_ids uuid[], event_ids text[], types text[], origins text[],
  occurred timestamptz[], headers text[], bodies bytea[], buckets smallint[], dead_because text[]
) returns uuid[] language plpgsql set search_path = pg_catalog, public as $$
declare
  moment timestamptz := clock_timestamp();
  -- What Stripe counts down while it delivers is no other content.
  countdown constant text := '"pending_webhooks":\s*\d+';
  stored uuid[];
  all_new boolean;
begin
  if by_engine then
    perform set_config('role', 'bursar_engine', true), set_config('bursar.tenant', '', true);
  end if;
  -- Sorted, so that two batches with the same events lock them in the same order.
  with new as (
    insert into gateway_event (tenant_id, id, gateway_account_id, gateway_event_id, type, origin, occurred_at, received_at, body_sha256)
    select e.tenant_id, e.id, e.account_id, e.event_id, e.type, e.origin, e.occurred_at, moment, e.sha
    from (select u.tenant_id, u.id, u.account_id, u.event_id, u.type, u.origin, u.occurred_at, sha256(u.body) as sha
          from unnest(tenant_ids, ids, account_ids, event_ids, types, origins, occurred, bodies)
            as u (tenant_id, id, account_id, event_id, type, origin, occurred_at, body)) e
    order by e.tenant_id, e.account_id, e.event_id
    on conflict (tenant_id, gateway_account_id, gateway_event_id) do nothing
    returning id
  ) select coalesce(array_agg(id), '{}') into stored from new;
  all_new := cardinality(stored) = cardinality(ids);
  insert into gateway_event_body (tenant_id, event_id, received_at, headers, body)
  select u.tenant_id, u.id, moment, u.headers::jsonb, u.body from unnest(tenant_ids, ids, headers, bodies) as u (tenant_id, id, headers, body)
  where all_new or u.id = any (stored);
  insert into gateway_event_queue (tenant_id, event_id, gateway_account_id, bucket)
  select u.tenant_id, u.id, u.account_id, u.bucket
  from unnest(tenant_ids, ids, account_ids, buckets, dead_because) as u (tenant_id, id, account_id, bucket, dead_because)
  where u.dead_because is null and (all_new or u.id = any (stored));
  if array_remove(dead_because, null) <> '{}' then
    insert into gateway_event_dead (tenant_id, event_id, reason, error, attempts, crashes)
    select u.tenant_id, u.id, 'unparseable', u.dead_because, 0, 0 from unnest(tenant_ids, ids, dead_because) as u (tenant_id, id, dead_because)
    where u.dead_because is not null and u.id = any (stored);
  end if;
  if all_new then
    return null;
  end if;
  if by_engine then
    insert into gateway_event_differing as d (tenant_id, event_id, body, first_at, last_at)
    select distinct on (g.tenant_id, g.id) g.tenant_id, g.id, u.body, moment, moment
    from unnest(tenant_ids, account_ids, event_ids, bodies) as u (tenant_id, account_id, event_id, body)
    join gateway_event g on g.tenant_id = u.tenant_id and g.gateway_account_id = u.account_id and g.gateway_event_id = u.event_id
    join gateway_event_body b on b.tenant_id = g.tenant_id and b.event_id = g.id and b.received_at = g.received_at
    where g.body_sha256 <> sha256(u.body)
      and regexp_replace(encode(u.body, 'escape'), countdown, '') <> regexp_replace(encode(b.body, 'escape'), countdown, '')
    order by g.tenant_id, g.id
    on conflict (tenant_id, event_id) do update set repeats = d.repeats + 1, body = excluded.body, last_at = excluded.last_at;
  end if;
  -- A later statement, because the first one's snapshot is older than a neighbour's commit.
  return array(
    select case when u.id = any (stored) then null else g.id end
    from unnest(tenant_ids, ids, account_ids, event_ids) with ordinality as u (tenant_id, id, account_id, event_id, ord)
    left join gateway_event g on g.tenant_id = u.tenant_id and g.gateway_account_id = u.account_id and g.gateway_event_id = u.event_id
    order by u.ord
  );
end $$;

create table gateway_event_outcome (           -- one row for each time an event was applied; replays add rows
  tenant_id uuid not null,
  event_id uuid not null,
  run integer not null,
  outcome text not null check (outcome in ('applied', 'ignored')),
  attempts smallint not null,
  at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, event_id, run),
  foreign key (tenant_id, event_id) references gateway_event (tenant_id, id)
);

create table gateway_event_dead (
  tenant_id uuid not null,
  event_id uuid not null,
  reason text not null check (reason in ('unparseable', 'retries_exhausted', 'crashed_worker')),
  error text not null,
  attempts smallint not null,
  crashes smallint not null,
  at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, event_id),
  foreign key (tenant_id, event_id) references gateway_event (tenant_id, id)
);

create table gateway_event_attempt (           -- each failed attempt, kept
  tenant_id uuid not null,
  id uuid not null,
  event_id uuid not null,
  attempt smallint not null,
  error text not null,
  at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id)
);
create index gateway_event_attempt_event on gateway_event_attempt (tenant_id, event_id, id);

create table gateway_event_replay (
  tenant_id uuid not null,
  id uuid not null,
  actor text not null,
  reason text not null,
  filter jsonb not null,
  events integer not null,
  at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id)
);

-- Not a tenant's: which events each bucket's owner is inside of, so that a crash is laid at the right door.
create table worker_bucket (
  bucket smallint primary key check (bucket between 0 and 63),
  tenant_id uuid,
  events uuid[] not null default '{}',
  worker text,
  since timestamptz
);
insert into worker_bucket (bucket) select generate_series(0, 63);

-- ---------------------------------------------------------------- merged facts
create table purchase (
  tenant_id uuid not null,
  id uuid not null,
  gateway_account_id uuid not null,
  customer_id uuid,
  subscription_ref text collate "C",
  leans_on_subscription boolean not null default false,   -- its own reports do not say what was bought; the subscription's do
  is_paid boolean not null default false,
  is_disputed boolean not null default false,
  paid_minor bigint not null default 0 check (paid_minor >= 0),
  refunded_minor bigint not null default 0 check (refunded_minor >= 0),
  lost_minor bigint not null default 0 check (lost_minor >= 0),
  currency text,
  paid_at timestamptz,
  period_start timestamptz,
  lines jsonb not null default '[]',          -- what it bought: [{price, quantity, standing}]
  unmatched_reason text,                      -- null: every paid line named a known price
  unmatched_refs text[] not null default '{}',  -- names of what it bought that the catalogue does not know
  merged_into uuid,                           -- a report showed that two purchases were one
  first_seen_at timestamptz not null default clock_timestamp(),
  touched_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  foreign key (tenant_id, gateway_account_id) references gateway_account (tenant_id, id)
);
create index purchase_unmatched on purchase (tenant_id, id) where is_paid and unmatched_reason is not null;
create index purchase_waiting on purchase (tenant_id, gateway_account_id, id) where is_paid and unmatched_refs <> '{}';
create index purchase_subscription on purchase (tenant_id, gateway_account_id, subscription_ref) where subscription_ref is not null;
create index purchase_touched on purchase (tenant_id, touched_at);

create table purchase_ref (                    -- every gateway object belongs to at most one purchase
  tenant_id uuid not null,
  gateway_account_id uuid not null,
  ref text collate "C" not null,
  purchase_id uuid not null,
  primary key (tenant_id, gateway_account_id, ref)
);
create index purchase_ref_purchase on purchase_ref (tenant_id, purchase_id);

create table gateway_object (                  -- the newest snapshot of each object the gateway reported
  tenant_id uuid not null,
  gateway_account_id uuid not null,
  kind text collate "C" not null,
  ref text collate "C" not null,
  is_final boolean not null,
  version_at timestamptz not null,
  version_rank bigint not null,
  version_tie bigint not null,
  state jsonb not null,
  purchase_id uuid,
  event_id uuid not null,
  primary key (tenant_id, gateway_account_id, kind, ref)
) with (fillfactor = 85);
create index gateway_object_purchase on gateway_object (tenant_id, purchase_id) where purchase_id is not null;

-- ---------------------------------------------------------------- catalogue
create table product (
  tenant_id uuid not null references tenant,
  id uuid not null,
  name text not null check (length(name) between 1 and 200),
  description text not null default '',
  is_active boolean not null default true,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id)
);

create table price (                           -- terms never change; new terms are a new price
  tenant_id uuid not null,
  id uuid not null,
  product_id uuid not null,
  lookup_key text collate "C",
  amount_minor bigint not null check (amount_minor >= 0),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  interval text check (interval in ('day', 'week', 'month', 'year')),
  interval_count smallint not null default 1 check (interval_count > 0),
  grants jsonb not null default '[]',
  recovers_shortfall boolean not null default false,
  is_active boolean not null default true,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint price_lookup_key_once unique (tenant_id, lookup_key),
  foreign key (tenant_id, product_id) references product (tenant_id, id)
);

create table price_gateway_ref (
  tenant_id uuid not null,
  gateway_account_id uuid not null,
  ref text collate "C" not null check (length(ref) between 1 and 255),
  price_id uuid not null,
  primary key (tenant_id, gateway_account_id, ref),
  foreign key (tenant_id, price_id) references price (tenant_id, id),
  foreign key (tenant_id, gateway_account_id) references gateway_account (tenant_id, id)
);
create index price_gateway_ref_price on price_gateway_ref (tenant_id, price_id);

create table customer_order (                  -- what a checkout will buy; its id travels through the gateway and back
  tenant_id uuid not null references tenant,
  id uuid not null,
  customer_id uuid,
  lines jsonb not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id)
);

-- ---------------------------------------------------------------- what the facts mean
-- Gateway ids are looked up with and without their account: the unique key of each table begins with the id and serves both.
create table customer (
  tenant_id uuid not null references tenant,
  id uuid not null,
  gateway_account_id uuid not null,
  gateway_ref text collate "C" not null,      -- the gateway's id, or 'email:…' / 'guest:…' where it has none
  email text,
  name text,
  phone text,
  is_deleted boolean not null default false,
  created_at timestamptz not null,
  primary key (tenant_id, id),
  constraint customer_once unique (tenant_id, gateway_ref, gateway_account_id)
);
create index customer_email on customer (tenant_id, lower(email));

create table payment (
  tenant_id uuid not null,
  id uuid not null,
  gateway_account_id uuid not null,
  gateway_ref text collate "C" not null,
  charge_ref text collate "C",
  purchase_id uuid not null,
  customer_id uuid,
  status text not null check (status in ('pending', 'requires_action', 'processing', 'succeeded', 'failed', 'canceled')),
  amount_minor bigint not null check (amount_minor >= 0),
  currency text not null,
  refunded_minor bigint not null default 0 check (refunded_minor >= 0),
  is_disputed boolean not null default false,
  failure_code text,
  failure_message text,
  description text,
  superseded_by uuid,                         -- a stand-in whose real payment became known
  created_at timestamptz not null,
  updated_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint payment_once unique (tenant_id, gateway_ref, gateway_account_id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id),
  foreign key (tenant_id, purchase_id) references purchase (tenant_id, id)
) with (fillfactor = 85);
create index payment_charge_ref on payment (tenant_id, charge_ref) where charge_ref is not null;
create index payment_customer on payment (tenant_id, customer_id, id);
create index payment_status on payment (tenant_id, status, id);
create index payment_purchase on payment (tenant_id, purchase_id);

create table refund (
  tenant_id uuid not null,
  id uuid not null,
  gateway_account_id uuid not null,
  gateway_ref text collate "C" not null,
  purchase_id uuid not null,
  payment_id uuid not null,
  status text not null check (status in ('pending', 'succeeded', 'failed', 'canceled')),
  amount_minor bigint not null check (amount_minor >= 0),
  currency text not null,
  reason text,
  created_at timestamptz not null,
  primary key (tenant_id, id),
  constraint refund_once unique (tenant_id, gateway_ref, gateway_account_id),
  foreign key (tenant_id, payment_id) references payment (tenant_id, id)
);
create index refund_payment on refund (tenant_id, payment_id, id);

create table dispute (
  tenant_id uuid not null,
  id uuid not null,
  gateway_account_id uuid not null,
  gateway_ref text collate "C" not null,
  purchase_id uuid not null,
  payment_id uuid not null,
  status text not null check (status in ('needs_response', 'under_review', 'won', 'lost', 'closed')),
  is_inquiry boolean not null,
  amount_minor bigint not null check (amount_minor >= 0),
  currency text not null,
  reason text,
  due_by timestamptz,
  withdrawn_minor bigint not null default 0,
  reinstated_minor bigint not null default 0,
  created_at timestamptz not null,
  primary key (tenant_id, id),
  constraint dispute_once unique (tenant_id, gateway_ref, gateway_account_id),
  foreign key (tenant_id, payment_id) references payment (tenant_id, id)
);
create index dispute_payment on dispute (tenant_id, payment_id, id);

create table subscription (
  tenant_id uuid not null,
  id uuid not null,
  gateway_account_id uuid not null,
  gateway_ref text collate "C" not null,
  customer_id uuid,
  price_id uuid,
  status text not null check (status in ('incomplete', 'trialing', 'active', 'past_due', 'unpaid', 'paused', 'canceled')),
  current_period_start timestamptz,
  current_period_end timestamptz,
  cancel_at_period_end boolean not null default false,
  cancel_at timestamptz,
  canceled_at timestamptz,
  ended_at timestamptz,
  trial_end timestamptz,
  unmatched_refs text[] not null default '{}',  -- names of what it is for that the catalogue does not know
  created_at timestamptz not null,
  primary key (tenant_id, id),
  constraint subscription_once unique (tenant_id, gateway_ref, gateway_account_id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id)
);
create index subscription_customer on subscription (tenant_id, customer_id, id);
create index subscription_status on subscription (tenant_id, status, id);
create index subscription_waiting on subscription (tenant_id, gateway_account_id, gateway_ref) where unmatched_refs <> '{}';

create table invoice (
  tenant_id uuid not null,
  id uuid not null,
  gateway_account_id uuid not null,
  gateway_ref text collate "C" not null,
  purchase_id uuid not null,
  customer_id uuid,
  subscription_ref text collate "C",
  number text,
  status text not null check (status in ('draft', 'open', 'paid', 'void', 'uncollectible')),
  total_minor bigint not null,
  paid_minor bigint not null,
  currency text not null,
  billing_reason text,
  lines jsonb not null,                       -- [{ref, prices, price, quantity, amount_minor, period_start, period_end, description}]
  due_at timestamptz,
  paid_at timestamptz,
  created_at timestamptz not null,
  primary key (tenant_id, id),
  constraint invoice_once unique (tenant_id, gateway_ref, gateway_account_id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id)
);
create index invoice_customer on invoice (tenant_id, customer_id, id);
create index invoice_status on invoice (tenant_id, status, id);

create table checkout_session (
  tenant_id uuid not null,
  id uuid not null,
  gateway_account_id uuid not null,
  gateway_ref text collate "C" not null,
  purchase_id uuid not null,
  customer_id uuid,
  mode text not null,
  status text not null check (status in ('open', 'expired', 'complete')),
  payment_status text not null check (payment_status in ('unpaid', 'failed', 'no_payment_required', 'paid')),
  amount_minor bigint,
  currency text,
  expires_at timestamptz,
  created_at timestamptz not null,
  primary key (tenant_id, id),
  constraint checkout_session_once unique (tenant_id, gateway_account_id, gateway_ref)
);

create table payment_method (
  tenant_id uuid not null,
  id uuid not null,
  gateway_account_id uuid not null,
  gateway_ref text collate "C" not null,
  customer_id uuid,
  method text not null,
  brand text,
  last4 text,
  exp_month smallint,
  exp_year smallint,
  is_detached boolean not null,
  created_at timestamptz not null,
  primary key (tenant_id, id),
  constraint payment_method_once unique (tenant_id, gateway_account_id, gateway_ref)
);
create index payment_method_customer on payment_method (tenant_id, customer_id, id);

-- ---------------------------------------------------------------- fulfilment
create table fulfilment_grant (                -- one row for each thing that one line of one purchase (or subscription) grants
  tenant_id uuid not null,
  id uuid not null,
  source_kind text not null check (source_kind in ('purchase', 'subscription')),
  source_id uuid not null,
  price_id uuid not null,
  position smallint not null check (position >= 0),
  kind text not null,
  customer_id uuid not null,
  quantity integer not null check (quantity > 0),
  spec jsonb not null,
  status text not null check (status in ('active', 'suspended', 'revoked', 'superseded')),
  taken_minor bigint not null default 0,      -- returned or lost money …
  paid_minor bigint not null default 0,       -- … out of this much: the share that is taken back
  starts_at timestamptz not null,
  ends_at timestamptz,
  event_id uuid not null,                     -- the event that first proved it
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint fulfilment_grant_once unique (tenant_id, source_id, price_id, position),
  foreign key (tenant_id, price_id) references price (tenant_id, id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id)
) with (fillfactor = 85);
create index fulfilment_grant_customer on fulfilment_grant (tenant_id, customer_id, id);

create table credit_lot (
  tenant_id uuid not null,
  id uuid not null,
  grant_id uuid,                              -- null: given by an operator's adjustment
  customer_id uuid not null,
  pool text collate "C" not null check (length(pool) between 1 and 64),
  granted bigint not null check (granted >= 0),
  taken bigint not null default 0 check (taken >= 0),          -- what refunds and lost disputes take back
  spent bigint not null default 0 check (spent >= 0),
  repaid bigint not null default 0 check (repaid >= 0),        -- given up to another lot's shortfall
  recovered bigint not null default 0 check (recovered >= 0),  -- shortfall that a later lot made good
  is_expired boolean not null default false,
  is_suspended boolean not null default false,
  recovers_shortfall boolean not null default false,
  remaining bigint generated always as    -- what is left; what was spent before it was taken back is the shortfall
    (case when is_expired then 0 else greatest(granted + recovered - taken - spent - repaid, 0) end) stored,
  shortfall bigint generated always as (greatest(taken + spent + repaid - granted - recovered, 0)) stored,
  effective_at timestamptz not null,
  expires_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint credit_lot_once unique (tenant_id, grant_id),
  constraint credit_lot_never_over check (taken <= granted and spent + repaid <= granted + recovered and recovered <= spent),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id),
  foreign key (tenant_id, grant_id) references fulfilment_grant (tenant_id, id)
) with (fillfactor = 85);
create index credit_lot_customer on credit_lot (tenant_id, customer_id, pool, expires_at);
create index credit_lot_expiry on credit_lot (tenant_id, expires_at) where not is_expired and expires_at is not null;

create table credit_spend (
  tenant_id uuid not null,
  id uuid not null,
  customer_id uuid not null,
  pool text collate "C" not null,
  reference text collate "C" not null check (length(reference) between 1 and 255),
  amount bigint not null check (amount > 0),
  returned boolean not null default false,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint credit_spend_once unique (tenant_id, reference),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id)
);

create table credit_movement (                 -- append-only; granted − Σ … = remaining is provable from here
  tenant_id uuid not null,
  id uuid not null,
  lot_id uuid not null,
  customer_id uuid not null,
  kind text not null check (kind in ('granted', 'taken', 'restored', 'spent', 'returned', 'expired', 'adjusted', 'repaid', 'recovered')),
  amount bigint not null check (amount <> 0), -- signed: what it does to the lot
  spend_id uuid,
  event_id uuid,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  foreign key (tenant_id, lot_id) references credit_lot (tenant_id, id)
);
create index credit_movement_lot on credit_movement (tenant_id, lot_id);
create index credit_movement_customer on credit_movement (tenant_id, customer_id, id);
create index credit_movement_spend on credit_movement (tenant_id, spend_id) where spend_id is not null;

create table entitlement (
  tenant_id uuid not null,
  id uuid not null,
  grant_id uuid not null,
  customer_id uuid not null,
  kind text not null,                         -- feature, quota, licence, …
  key text collate "C" not null,              -- which feature, meter or course
  amount_max bigint check (amount_max >= 0),  -- null: unlimited
  per text,                                   -- ISO 8601 duration of the limit's window, null: for its whole life
  status text not null check (status in ('active', 'suspended', 'revoked', 'superseded')),
  starts_at timestamptz not null,
  ends_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint entitlement_once unique (tenant_id, grant_id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id),
  foreign key (tenant_id, grant_id) references fulfilment_grant (tenant_id, id)
) with (fillfactor = 85);
create index entitlement_customer on entitlement (tenant_id, customer_id, kind, key);

create table licence (
  tenant_id uuid not null,
  id uuid not null,
  entitlement_id uuid,                        -- null: issued by the gateway itself
  gateway_account_id uuid,
  gateway_ref text collate "C",
  customer_id uuid,
  key text collate "C" not null,
  product text not null,                      -- the course or product it opens
  activations_max bigint check (activations_max >= 0),
  activations integer not null default 0 check (activations >= 0),
  status text not null check (status in ('active', 'suspended', 'revoked', 'superseded')),
  expires_at timestamptz,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint licence_entitlement_once unique (tenant_id, entitlement_id),
  constraint licence_gateway_once unique (tenant_id, gateway_account_id, gateway_ref),
  constraint licence_activations_within check (activations_max is null or activations <= activations_max),
  foreign key (tenant_id, entitlement_id) references entitlement (tenant_id, id)
);
-- Our own keys are unique; what a gateway issues is the gateway's business, and may be told by two of its accounts.
create unique index licence_key_once on licence (tenant_id, key) where entitlement_id is not null;
create index licence_key on licence (tenant_id, key);
create index licence_customer on licence (tenant_id, customer_id, id);

create table licence_activation (
  tenant_id uuid not null,
  id uuid not null,
  licence_id uuid not null,
  fingerprint text collate "C" not null check (length(fingerprint) between 1 and 255),
  name text,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint licence_activation_once unique (tenant_id, licence_id, fingerprint),
  foreign key (tenant_id, licence_id) references licence (tenant_id, id)
);

-- ---------------------------------------------------------------- the books
create table ledger_transaction (
  tenant_id uuid not null,
  id uuid not null,
  gateway_account_id uuid not null,
  source_kind text not null,                  -- payment, refund, dispute
  source_ref text collate "C" not null,       -- the gateway's id of it
  sequence integer not null,                  -- 0: first posting; later ones correct it, nothing is edited
  customer_id uuid,
  event_id uuid not null,
  occurred_at timestamptz not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint ledger_transaction_once unique (tenant_id, gateway_account_id, source_ref, source_kind, sequence)
);
create index ledger_transaction_customer on ledger_transaction (tenant_id, customer_id, id);

create table ledger_entry (
  tenant_id uuid not null,
  transaction_id uuid not null,
  account text collate "C" not null,
  currency text not null,
  amount_minor bigint not null check (amount_minor <> 0),   -- debit above zero, credit below
  primary key (tenant_id, transaction_id, account, currency),
  foreign key (tenant_id, transaction_id) references ledger_transaction (tenant_id, id)
);

create table ledger_balance (
  tenant_id uuid not null,
  account text collate "C" not null,
  currency text not null,
  balance_minor bigint not null,
  primary key (tenant_id, account, currency)
) with (fillfactor = 50);

create function ledger_entries_balance() returns trigger language plpgsql set search_path = pg_catalog, public as $$
begin
  if exists (select 1 from written group by tenant_id, transaction_id, currency having sum(amount_minor) <> 0) then
    raise exception 'ledger entries do not sum to zero' using errcode = 'check_violation', constraint = 'ledger_entries_balance';
  end if;
  return null;
end $$;
create trigger ledger_entries_balance after insert on ledger_entry
  referencing new table as written for each statement execute function ledger_entries_balance();

create table audit_record (
  tenant_id uuid not null,
  id uuid not null,
  at timestamptz not null default clock_timestamp(),
  actor text not null,                        -- 'gateway', 'key:…', 'operator', 'policy:…'
  action text not null,
  event_id uuid,
  subject text,                               -- public id of what changed most
  changes jsonb not null,
  primary key (tenant_id, id)
);
create index audit_record_event on audit_record (tenant_id, event_id);

create table outbox (
  tenant_id uuid not null,
  id uuid not null,
  topic text not null,
  subject text not null,
  payload jsonb not null,
  event_id uuid,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id)
);

create table invariant_sweep (                 -- what the running check last saw
  tenant_id uuid not null references tenant,
  checked_at timestamptz not null,
  checked_through timestamptz not null,
  checked_rows bigint not null,
  failures jsonb not null default '[]',
  primary key (tenant_id)
);

-- ---------------------------------------------------------------- who may do what
do $$
declare t text;
begin
  for t in select c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
           where n.nspname = 'public' and c.relkind in ('r', 'p') and c.relname not in ('bursar_migration', 'worker_bucket')
             and exists (select 1 from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id' and not a.attisdropped)
  loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format($p$create policy tenant_only on %I to bursar_app
      using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
      with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)$p$, t);
  end loop;
end $$;

grant usage on schema public to bursar_app, bursar_engine;

-- append-only: no update, no delete
grant select, insert on tenant, gateway_event, gateway_event_body, gateway_event_outcome, gateway_event_attempt, gateway_event_replay,
  credit_movement, ledger_transaction, ledger_entry, audit_record, outbox, customer_order, licence_activation to bursar_app;
grant delete on licence_activation to bursar_app;
-- state: changed in place, never deleted
grant select, insert, update on api_key, gateway_account, purchase, purchase_ref, gateway_object, product, price, price_gateway_ref,
  customer, payment, refund, dispute, subscription, invoice, checkout_session, payment_method,
  fulfilment_grant, credit_lot, credit_spend, entitlement, licence, ledger_balance, invariant_sweep to bursar_app;
revoke update on price from bursar_app;
grant update (is_active) on price to bursar_app;
-- the queue comes and goes
grant select, insert, update, delete on gateway_event_queue, gateway_event_dead to bursar_app;
grant update on worker_bucket to bursar_app;
grant select on worker_bucket to bursar_app;

-- the engine: files deliveries of all tenants and finds work, and sees nothing of what it means
grant select on tenant, gateway_account to bursar_engine;
grant select, insert on gateway_event, gateway_event_body, gateway_event_queue, gateway_event_dead, gateway_event_differing to bursar_engine;
grant select on gateway_event_differing to bursar_app;
grant update on gateway_event_differing to bursar_engine;
grant update, delete on gateway_event_queue to bursar_engine;
grant select, update on worker_bucket to bursar_engine;
do $$
declare t text;
begin
  foreach t in array array['tenant', 'gateway_account', 'gateway_event', 'gateway_event_body', 'gateway_event_queue', 'gateway_event_dead', 'gateway_event_differing'] loop
    execute format('create policy engine_reads on %I for select to bursar_engine using (true)', t);
  end loop;
  foreach t in array array['gateway_event', 'gateway_event_body', 'gateway_event_queue', 'gateway_event_dead', 'gateway_event_differing'] loop
    execute format('create policy engine_files on %I for insert to bursar_engine with check (true)', t);
  end loop;
end $$;
create policy engine_counts on gateway_event_differing for update to bursar_engine using (true) with check (true);
create policy engine_schedules on gateway_event_queue for update to bursar_engine using (true) with check (true);
create policy engine_finishes on gateway_event_queue for delete to bursar_engine using (true);
revoke all on schema public from public;
