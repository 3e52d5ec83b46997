drop policy engine_finds on audit_record;
revoke select (tenant_id, at, written_in) on audit_record from bursar_engine;
drop table audit_seal;
drop index audit_record_subject;
alter table audit_record drop column written_in, drop column correlation_id, drop column user_agent, drop column address;
drop function audit_position;
