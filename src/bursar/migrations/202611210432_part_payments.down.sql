alter table booking drop constraint booking_part_payment;
alter table booking drop constraint booking_paid_with_check;
alter table booking add constraint booking_paid_with_check check (paid_with in ('credits', 'money', 'membership', 'nothing')) not valid;
alter table booking drop column missing_credits;
