alter table staff drop teaches;
