drop table pack_refund;
drop table credit_rollover;
drop index credit_lot_expired;
