-- Trials by the day on which they end, among however many subscriptions that never had one.
create index subscription_trial on subscription (tenant_id, trial_end) where trial_end is not null;
