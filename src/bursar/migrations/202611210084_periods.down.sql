drop index purchase_disputed;
create index purchase_subscription on purchase (tenant_id, gateway_account_id, subscription_ref) where subscription_ref is not null;
drop index purchase_period;
