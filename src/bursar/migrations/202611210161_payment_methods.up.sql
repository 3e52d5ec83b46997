-- Payments that we ask for with a saved way to pay. The payment that the gateway reports takes the same id.
create table asked_payment (
  tenant_id uuid not null references tenant,
  id uuid not null,
  gateway_account_id uuid not null,
  customer_id uuid not null,
  payment_method_id uuid not null,
  order_id uuid,                                -- what it sells; without it a sum is asked for that names nothing
  amount_minor bigint not null check (amount_minor > 0),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  return_url text check (length(return_url) <= 2000),   -- where the customer comes back to, if his bank asks him
  call_id uuid not null,                        -- the gateway call that takes the money
  status text not null default 'pending'        -- as the gateway's answers told it; its reports go on in `payment`
    check (status in ('pending', 'requires_action', 'processing', 'succeeded', 'failed', 'canceled')),
  gateway_ref text collate "C",                 -- once the gateway has named it
  failure_code text check (length(failure_code) <= 100),
  failure_message text check (length(failure_message) <= 500),
  actor text not null check (length(actor) <= 200),
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint asked_payment_call_once unique (tenant_id, call_id),
  constraint asked_payment_named_once unique (tenant_id, gateway_ref, gateway_account_id),
  foreign key (tenant_id, gateway_account_id) references gateway_account (tenant_id, id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id),
  foreign key (tenant_id, payment_method_id) references payment_method (tenant_id, id),
  foreign key (tenant_id, order_id) references customer_order (tenant_id, id),
  foreign key (tenant_id, call_id) references gateway_call (tenant_id, id)
) with (fillfactor = 85);
create index asked_payment_customer on asked_payment (tenant_id, customer_id, id);

-- What was asked for of a payment that waits: the page on which its customer confirms, or its end.
create table payment_change (
  tenant_id uuid not null references tenant,
  id uuid not null,
  payment_id uuid not null,                     -- of `payment`, or of `asked_payment` while none is reported
  kind text not null check (kind in ('confirmation', 'cancellation')),
  call_id uuid not null,
  is_open boolean not null default true,        -- its call has no outcome that anybody knows
  sends_letter boolean not null default false,  -- the customer is sent the link once it is there
  actor text not null check (length(actor) <= 200),
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint payment_change_of_call unique (tenant_id, call_id),
  foreign key (tenant_id, call_id) references gateway_call (tenant_id, id)
) with (fillfactor = 90);
create unique index payment_change_alone on payment_change (tenant_id, payment_id) where is_open;
create index payment_change_payment on payment_change (tenant_id, payment_id, id);

-- What was asked for of saved ways to pay: that one is saved, forgotten, or used by default.
create table payment_method_change (
  tenant_id uuid not null references tenant,
  id uuid not null,
  gateway_account_id uuid not null,
  customer_id uuid not null,
  kind text not null check (kind in ('setup', 'detachment', 'default')),
  payment_method_id uuid,                       -- null while it is to be saved
  subscription_id uuid,                         -- of a default that is only this one's
  gateway_ref text collate "C" check (length(gateway_ref) <= 255),   -- of a setup without a page: what is to be saved
  call_id uuid not null,
  is_open boolean not null default true,
  actor text not null check (length(actor) <= 200),
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, id),
  constraint payment_method_change_of_call unique (tenant_id, call_id),
  constraint payment_method_change_says_what check (
    (kind in ('detachment', 'default')) = (payment_method_id is not null) and (subscription_id is null or kind = 'default')
    and (gateway_ref is null or kind = 'setup')),
  foreign key (tenant_id, gateway_account_id) references gateway_account (tenant_id, id),
  foreign key (tenant_id, customer_id) references customer (tenant_id, id),
  foreign key (tenant_id, payment_method_id) references payment_method (tenant_id, id),
  foreign key (tenant_id, subscription_id) references subscription (tenant_id, id),
  foreign key (tenant_id, call_id) references gateway_call (tenant_id, id)
) with (fillfactor = 90);
create unique index payment_method_change_alone on payment_method_change (tenant_id, payment_method_id) where is_open;
create index payment_method_change_customer on payment_method_change (tenant_id, customer_id, id);

-- One word for each saved way to pay and each of its expiries.
create table payment_method_warning (
  tenant_id uuid not null references tenant,
  payment_method_id uuid not null,
  exp_year smallint not null,
  exp_month smallint not null,
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, payment_method_id, exp_year, exp_month),
  foreign key (tenant_id, payment_method_id) references payment_method (tenant_id, id)
);

do $$
declare t text;
begin
  foreach t in array array['asked_payment', 'payment_change', 'payment_method_change', 'payment_method_warning'] loop
    execute format('alter table %I enable row level security', t);
    execute format('alter table %I force row level security', t);
    execute format($p$create policy tenant_only on %I to bursar_app
      using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
      with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)$p$, t);
  end loop;
end $$;
grant select, insert, update on asked_payment, payment_change, payment_method_change to bursar_app;
grant select, insert on payment_method_warning to bursar_app;

-- Which saved way to pay invoices are paid with: the customer's, and the subscription's own where it has one.
alter table customer add column default_method_ref text collate "C";
alter table subscription add column default_method_ref text collate "C";
-- Found by the day on which they end to be good; what is detached is of no interest.
create index payment_method_expiring on payment_method (tenant_id, exp_year, exp_month, id) where not is_detached;

-- A letter to a customer names what it is about; to whom it goes and what it says is looked up when it is sent.
alter table mail_message add column about text collate "C" check (length(about) between 1 and 100);
create unique index mail_message_about_once on mail_message (tenant_id, kind, about) where about is not null;
