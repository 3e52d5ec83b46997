drop table saga_step;
drop table saga;
