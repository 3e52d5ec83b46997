-- The tax of a venue, and what of a booking's money is tax: kept with the booking as it was when it was made.
alter table venue
  add column tax_bp integer not null default 0 check (tax_bp between 0 and 10000),   -- basis points
  add column tax_included boolean not null default true;                             -- prices have it in them
alter table booking
  add column tax_bp integer not null default 0 check (tax_bp between 0 and 10000),
  add column tax_included boolean not null default true,
  add column tax_minor bigint not null default 0 check (tax_minor >= 0);
-- It is the nearest whole minor unit to the share of what is left after the discount; which of two is the nearest, the code decides.
alter table booking add constraint booking_tax_of_price check (case
  when price_minor is null then tax_minor = 0 and tax_bp = 0
  when tax_included then abs(tax_minor::numeric * (10000 + tax_bp) - (price_minor - discount_minor)::numeric * tax_bp) * 2 <= 10000 + tax_bp
  else abs(tax_minor::numeric * 10000 - (price_minor - discount_minor)::numeric * tax_bp) * 2 <= 10000 end);
