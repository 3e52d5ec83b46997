drop index booking_appointment;
