drop trigger product_stays on product;
drop trigger price_stays on price;
drop trigger customer_stays on customer;
drop function refuse_delete;
revoke update (deleted_at, deleted_by) on price from bursar_app;
alter table product drop column deleted_at, drop column deleted_by;
alter table price drop column deleted_at, drop column deleted_by;
alter table customer drop column deleted_at, drop column deleted_by;
