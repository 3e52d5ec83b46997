drop table idempotency_answer;
