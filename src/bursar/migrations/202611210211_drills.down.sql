alter table backup_standing drop column wanted_at;
drop table backup_listed;
drop table backup_drill;
