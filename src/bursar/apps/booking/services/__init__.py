"""Services: what staff give by appointment, when they can, and who has which appointment.

What it is: services and their tiers, who gives them, working hours and time off, the search for a free time, and appointments.
What it is not: classes; those are `schedule`'s and `bookings`'. A class that somebody instructs takes his time all the same.

Invariants:
- a staff member is never in two appointments at once, buffers included, whatever the race;
- an appointment is not made over a class that its staff member instructs;
- hours are of the wall's clock where they are worked: a day of 23 or 25 hours has the slots that its clock shows;
- what is offered and what can be booked are decided by the same function.
"""
