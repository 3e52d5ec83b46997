alter table credit_spend drop column pools;
