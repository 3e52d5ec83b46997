drop table subscription_change;
