alter table booking drop column coupon_id;
alter table booking drop column discount_minor;
drop table coupon_redemption;
drop table coupon;
