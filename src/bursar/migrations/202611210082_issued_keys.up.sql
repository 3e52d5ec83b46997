-- A key that the gateway issued follows the payment that it was issued for.
alter table licence
  add column payment_ref text collate "C",                  -- the gateway's id of that payment
  add column is_withdrawn boolean not null default false;   -- the gateway itself says that it is not to be used any more
update licence set is_withdrawn = status <> 'active' where gateway_ref is not null;
create index licence_payment on licence (tenant_id, gateway_account_id, payment_ref) where payment_ref is not null;
