-- What became of the money that was paid for a seat: one row for each grant of a seat, so that a repeat of it does nothing.
create table seat_payment (
  tenant_id uuid not null,
  grant_id uuid not null,
  purchase_id uuid not null,
  booking_id uuid,                               -- null: no booking is named by what was reported so far
  -- waiting: paid, but not for a booking that is known, or not enough; seated; returning: it goes back; released: it went back.
  status text not null check (status in ('waiting', 'seated', 'returning', 'released')),
  reason text check (length(reason) <= 500),     -- why it waits or goes back
  is_disputed boolean not null default false,
  due_at timestamptz,                            -- when waiting ends
  returning_minor bigint check (returning_minor >= 0),  -- how much of it goes back; null: all that is left
  changed_at timestamptz not null default clock_timestamp(),
  created_at timestamptz not null default clock_timestamp(),
  primary key (tenant_id, grant_id),
  foreign key (tenant_id, grant_id) references fulfilment_grant (tenant_id, id),
  foreign key (tenant_id, booking_id) references booking (tenant_id, id)
);
create unique index seat_payment_once on seat_payment (tenant_id, booking_id) where status = 'seated';
create index seat_payment_booking on seat_payment (tenant_id, booking_id) where booking_id is not null;
create index seat_payment_open on seat_payment (tenant_id, due_at) where status in ('waiting', 'returning');

alter table seat_payment enable row level security;
alter table seat_payment force row level security;
create policy tenant_only on seat_payment to bursar_app
  using (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid)
  with check (tenant_id = nullif(current_setting('bursar.tenant', true), '')::uuid);
grant select, insert, update on seat_payment to bursar_app;
