drop table booking_fee_order;
drop table booking_fee;
