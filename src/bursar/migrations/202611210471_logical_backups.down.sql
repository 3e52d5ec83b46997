alter table backup_standing drop column is_logical;
