-- What was asked for of a subscription at its gateway. What became of it is told by its call, and by what the gateway reports.
create table subscription_change (
  tenant_id uuid not null references tenant,
  id uuid not null,
  subscription_id uuid not null,
  call_id uuid not null,
  kind text not null check (kind in ('change', 'pause', 'resumption', 'cancellation', 'reactivation', 'trial_extension')),
  price_id uuid,                                    -- of a change: what is sold afterwards
  quantity integer check (quantity >= 1),
  proration text check (length(proration) <= 30),
  at text check (at in ('now', 'period_end')),      -- of a cancellation
  trial_end timestamptz,                            -- of a trial extension
  is_open boolean not null default true,            -- its call has no outcome that anybody knows
  actor text not null check (length(actor) <= 200),
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint subscription_change_of_call unique (tenant_id, call_id),
  constraint subscription_change_says_what check (
    (kind = 'change') = (price_id is not null) and (kind = 'change') = (quantity is not null) and (kind = 'change') = (proration is not null)
    and (kind = 'cancellation') = (at is not null) and (kind = 'trial_extension') = (trial_end is not null)),
  foreign key (tenant_id, subscription_id) references subscription (tenant_id, id),
  foreign key (tenant_id, call_id) references gateway_call (tenant_id, id),
  foreign key (tenant_id, price_id) references price (tenant_id, id)
) with (fillfactor = 90);
-- Two changes at once would each be judged by a state that the other is about to leave.
create unique index subscription_change_alone on subscription_change (tenant_id, subscription_id) where is_open;
create index subscription_change_subscription on subscription_change (tenant_id, subscription_id, id);
alter table subscription_change enable row level security;
alter table subscription_change force row level security;
create policy tenant_only on subscription_change to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on subscription_change to bursar_app;
