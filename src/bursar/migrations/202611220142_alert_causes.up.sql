-- Of which cause an alert was last told, where its rule tells causes apart: another one is told without waiting for the cool-down.
alter table alert add column told_cause text not null default '' check (length(told_cause) <= 200);
