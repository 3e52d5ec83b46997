drop table seat_payment;
