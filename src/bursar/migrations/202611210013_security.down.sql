drop table security_event;
