-- Credits of several pools may pay for one thing: the most special first, of those that expire together.
alter table credit_spend add column pools text[] not null default '{}' check (cardinality(pools) <= 20);  -- those that may pay beside its own
