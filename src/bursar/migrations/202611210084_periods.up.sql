-- The first and the latest period of a subscription are found without reading those between; so is whether any is disputed.
create index purchase_period on purchase (tenant_id, gateway_account_id, subscription_ref, (coalesce(period_start, paid_at)))
  where subscription_ref is not null;
drop index purchase_subscription;
create index purchase_disputed on purchase (tenant_id, gateway_account_id, subscription_ref)
  where is_disputed and subscription_ref is not null;
