-- What somebody of the staff may instruct, by the category of the class. Empty: everything.
alter table staff add teaches text[] collate "C" not null default '{}' check (cardinality(teaches) <= 50);
