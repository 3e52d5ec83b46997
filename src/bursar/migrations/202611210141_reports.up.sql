-- Reports: the business's own zone, payments summed up as they are recorded, refunds and long histories by index.

alter table tenant add column time_zone text not null default 'UTC' check (length(time_zone) between 1 and 64);
grant update (time_zone) on tenant to bursar_app;

-- Payments by the quarter of an hour in which they were made: every zone's day begins on one, so a day of any zone is a sum of whole rows.
create table payment_tally (
  tenant_id uuid not null,
  quarter timestamptz not null check (quarter = date_bin('15 minutes', quarter, timestamptz '2000-01-01 00:00+00')),
  gateway_account_id uuid not null,
  currency text not null,
  status text not null,
  payments bigint not null,
  amount_minor numeric not null,                -- a sum of many amounts is larger than the largest amount
  primary key (tenant_id, quarter, gateway_account_id, currency, status)
) with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
alter table payment_tally enable row level security;
alter table payment_tally force row level security;
create policy tenant_only on payment_tally to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on payment_tally to bursar_app;

-- What a statement did to payments is added to the tally by the statement itself: whoever writes a payment, by whatever way.
-- A payment that gave way to its heir is not counted. An account is applied by one worker at a time, and each has rows of its own here.
create function payment_tally_follows() returns trigger language plpgsql set search_path = pg_catalog, public as $$
begin
  if TG_OP = 'INSERT' then
    insert into payment_tally as t (tenant_id, quarter, gateway_account_id, currency, status, payments, amount_minor)
    select tenant_id, date_bin('15 minutes', created_at, timestamptz '2000-01-01 00:00+00') as quarter, gateway_account_id, currency, status,
      count(*), sum(amount_minor)
    from arrived where superseded_by is null
    group by tenant_id, quarter, gateway_account_id, currency, status
    order by tenant_id, quarter, gateway_account_id, currency, status
    on conflict (tenant_id, quarter, gateway_account_id, currency, status) do update
    set payments = t.payments + excluded.payments, amount_minor = t.amount_minor + excluded.amount_minor;
  else
    insert into payment_tally as t (tenant_id, quarter, gateway_account_id, currency, status, payments, amount_minor)
    select tenant_id, date_bin('15 minutes', created_at, timestamptz '2000-01-01 00:00+00') as quarter, gateway_account_id, currency, status,
      sum(sign), sum(sign * amount_minor)
    from (
      select 1 as sign, tenant_id, created_at, gateway_account_id, currency, status, amount_minor from arrived where superseded_by is null
      union all
      select -1, tenant_id, created_at, gateway_account_id, currency, status, amount_minor from gone where superseded_by is null
    ) as moved
    group by tenant_id, quarter, gateway_account_id, currency, status
    having sum(sign) <> 0 or sum(sign * amount_minor) <> 0
    order by tenant_id, quarter, gateway_account_id, currency, status
    on conflict (tenant_id, quarter, gateway_account_id, currency, status) do update
    set payments = t.payments + excluded.payments, amount_minor = t.amount_minor + excluded.amount_minor;
  end if;
  return null;
end $$;
create trigger payment_tally_arrived after insert on payment
  referencing new table as arrived for each statement execute function payment_tally_follows();
create trigger payment_tally_moved after update on payment
  referencing new table as arrived old table as gone for each statement execute function payment_tally_follows();
insert into payment_tally (tenant_id, quarter, gateway_account_id, currency, status, payments, amount_minor)
select tenant_id, date_bin('15 minutes', created_at, timestamptz '2000-01-01 00:00+00') as quarter, gateway_account_id, currency, status,
  count(*), sum(amount_minor)
from payment where superseded_by is null
group by tenant_id, quarter, gateway_account_id, currency, status;

-- A year of refunds is read from the index alone. A reason may be anything somebody typed: an index takes only its beginning.
alter table refund add column reason_told text generated always as (left(reason, 80)) stored;
create index refund_made on refund (tenant_id, created_at)
  include (gateway_account_id, status, currency, amount_minor, reason_told);

-- In a long history a rare state, or a time long ago, is found in the index, without going to each row.
drop index payment_customer;
create index payment_customer on payment (tenant_id, customer_id, id, status, created_at);
