drop index circuit_not_closed;
drop policy engine_reads on circuit;
revoke select (tenant_id, id, subject, operation, state, since) on circuit from bursar_engine;
drop table installation_figure;
