drop table waitlist_entry, attendee, booking_rule, booking, class_instance, class_template, booking_policy, staff, room, venue;
drop extension btree_gist;
