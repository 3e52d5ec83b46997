drop table checkout;
