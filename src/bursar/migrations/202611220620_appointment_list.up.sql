-- The list of appointments: a studio may have a hundred thousand seats in classes among which they would be looked for.
create index booking_appointment on booking (tenant_id, id) where kind = 'service';
