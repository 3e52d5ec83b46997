-- Look-ups that stay fast under row-level security, where a condition reaches an index only if its function is leakproof:
-- lower() is not, so what it gives is kept in a column.
drop index customer_email;
alter table customer add column email_key text generated always as (lower(email)) stored;
create index customer_email_key on customer (tenant_id, email_key) where email_key is not null;

-- What is rare among many: events that were ignored, and what people did among what gateways reported.
create index gateway_event_outcome_ignored on gateway_event_outcome (tenant_id, event_id) where outcome = 'ignored';
create index audit_record_acts on audit_record (tenant_id, id) where actor <> 'gateway';
