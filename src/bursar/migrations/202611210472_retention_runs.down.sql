drop table retention_run;
