drop table backup_damage;
