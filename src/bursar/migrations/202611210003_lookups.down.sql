drop index audit_record_acts;
drop index gateway_event_outcome_ignored;
drop index customer_email_key;
alter table customer drop column email_key;
create index customer_email on customer (tenant_id, lower(email));
