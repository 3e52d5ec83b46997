-- Statements that took long: their text, which has no values in it, and how PostgreSQL would go about them.
create table slow_statement (
  day date not null,
  digest text collate "C" not null check (digest ~ '^[0-9a-f]{16}$'),
  process text collate "C" not null check (process in ('api', 'worker')),
  statement text not null check (length(statement) <= 10000),
  calls bigint not null check (calls > 0),
  total_ms bigint not null check (total_ms >= 0),
  longest_ms bigint not null check (longest_ms between 0 and total_ms),
  last_at timestamptz not null,
  plan text check (length(plan) <= 20000),
  planned_at timestamptz,
  primary key (day, digest, process),
  constraint slow_statement_planned check ((plan is null) = (planned_at is null))
);
grant select, insert, update, delete on slow_statement to bursar_engine;
