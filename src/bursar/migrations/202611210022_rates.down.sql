alter table gateway_account drop column deliveries_per_minute;
drop table rate_limit;
