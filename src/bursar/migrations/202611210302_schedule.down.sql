create index class_instance_venue on class_instance (tenant_id, venue_id, local_date, starts_at, id);
create index class_instance_date on class_instance (tenant_id, local_date, starts_at, id);
drop index class_instance_place;
drop table schedule_setting, venue_closed_day, venue_hours;
