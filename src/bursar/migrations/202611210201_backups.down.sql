drop table backup_standing;
drop table backup_canary;
