-- What is deleted stays: marked, hidden from lists, and brought back by a restoration. No row of these ever goes.
alter table product add column deleted_at timestamptz, add column deleted_by text,
  add constraint product_deleted_by check ((deleted_at is null) = (deleted_by is null));
alter table price add column deleted_at timestamptz, add column deleted_by text,
  add constraint price_deleted_by check ((deleted_at is null) = (deleted_by is null));
alter table customer add column deleted_at timestamptz, add column deleted_by text,
  add constraint customer_deleted_by check ((deleted_at is null) = (deleted_by is null));
grant update (deleted_at, deleted_by) on price to bursar_app;

-- The application has no right to delete them; this refuses whoever owns the tables, too.
create function refuse_delete() returns trigger language plpgsql as $$
begin
  raise exception '% is never deleted, only marked so', tg_table_name using errcode = 'restrict_violation';
end $$;
create trigger product_stays before delete or truncate on product execute function refuse_delete();
create trigger price_stays before delete or truncate on price execute function refuse_delete();
create trigger customer_stays before delete or truncate on customer execute function refuse_delete();
