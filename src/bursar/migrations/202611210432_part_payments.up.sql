-- A seat that is paid partly with credits and partly with money: how many credits the money stands in for.
alter table booking add column missing_credits integer not null default 0 check (missing_credits >= 0);
alter table booking drop constraint booking_paid_with_check;
alter table booking add constraint booking_paid_with_check
  check (paid_with in ('credits', 'money', 'membership', 'nothing', 'credits_and_money'));
alter table booking add constraint booking_part_payment
  check ((paid_with = 'credits_and_money') = (missing_credits > 0)
    and (paid_with <> 'credits_and_money' or (credit_cost > 0 and spend_id is not null and due_minor > 0)));
