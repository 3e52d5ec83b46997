delete from booking where kind = 'service';  -- of services that will not be there
alter table booking drop constraint booking_tenant_id_service_id_fkey, drop constraint booking_tenant_id_tier_id_fkey;
drop index booking_service;
drop table staff_time_off, staff_hours, staff_skill, tier, service;
