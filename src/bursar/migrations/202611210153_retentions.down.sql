drop table idempotency_retention;
