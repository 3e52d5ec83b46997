-- Whether what is kept are logical backups: then there is no log, and what would be lost is told by their interval.
alter table backup_standing add column is_logical boolean not null default false;
