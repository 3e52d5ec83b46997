drop table credit_pool_venue;
drop table credit_transfer;
