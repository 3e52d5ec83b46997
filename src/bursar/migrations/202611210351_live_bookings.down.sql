drop policy engine_sees_that on outbox;
revoke select (tenant_id, id) on outbox from bursar_engine;
