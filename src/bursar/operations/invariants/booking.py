"""Bookings: seats counted are seats booked, credits spent are credits of bookings, and who waits is counted."""

from typing import Final

from bursar.operations.invariants.invariant import Invariant, Scope


def _share(amount: str, part: str, whole: str) -> str:
    """Return the expression of a part of an amount, rounded half to even; of nothing below zero. `round` rounds half away from zero."""
    exact = f"{amount}::numeric * {part}"
    return f"""(select f.floor + case when f.beyond > 0 or (f.beyond = 0 and mod(f.floor, 2) = 1) then 1 else 0 end
    from (select div({exact}, {whole}) as floor, 2 * mod({exact}, {whole}) - {whole} as beyond) as f)"""


BOOKING: Final = (
    Invariant(
        name="seats_counted_are_seats_booked",
        promises="The seats that a class counts as held and booked are those of its bookings; only what staff gave out knowingly is beyond its capacity.",
        subject="class_instance",
        scope=Scope.class_,
        sql="""
select c.id as class, c.capacity, c.overbook, c.held, c.booked, seats.held as held_by_bookings, seats.booked as booked_by_bookings
from class_instance c
cross join lateral (
  select coalesce(sum(b.seats) filter (where b.status in ('requested', 'held')), 0)::integer as held,
    coalesce(sum(b.seats) filter (where b.status in ('booked', 'attended', 'no_show')), 0)::integer as booked
  from booking b where b.tenant_id = c.tenant_id and b.class_id = c.id
) as seats
where c.tenant_id = $1 /*only c.id*/
  and ((c.held, c.booked) <> (seats.held, seats.booked) or c.overbook <> greatest(c.held + c.booked - c.capacity, 0))
""",
    ),
    Invariant(
        name="waiting_is_counted",
        promises="The entries that a class counts as waiting are there, and nobody waits for a class that is cancelled.",
        subject="class_instance",
        scope=Scope.class_,
        sql="""
select c.id as class, c.status, c.waiting, entries.waiting as waiting_entries, entries.open as open_entries
from class_instance c
cross join lateral (
  select count(*) filter (where w.status = 'waiting')::integer as waiting,
    count(*) filter (where w.status in ('waiting', 'offered'))::integer as open
  from waitlist_entry w where w.tenant_id = c.tenant_id and w.class_id = c.id
) as entries
where c.tenant_id = $1 /*only c.id*/ and (c.waiting <> entries.waiting or (c.status <> 'scheduled' and entries.open > 0))
""",
    ),
    Invariant(
        name="credits_spent_are_of_bookings",
        promises="A booking that credits pay has one spend of its customer, of as many as it cost; what it gave back is returned, and nothing else.",
        subject="booking",
        scope=Scope.booking,
        sql="""
select b.id as booking, b.number, b.status, b.paid_with, b.credit_cost, b.credits_back, s.id as spend, s.amount, s.returned
from booking b
left join credit_spend s on s.tenant_id = b.tenant_id and s.id = b.spend_id
where b.tenant_id = $1 /*only b.id*/
  and ((b.paid_with in ('credits', 'credits_and_money')) <> (s.id is not null)
    or (s.id is not null and ((s.customer_id, s.amount) is distinct from (b.customer_id, b.credit_cost)
      or (b.credits_back in ('same_lot', 'new_lot') and not s.returned)
      or (coalesce(b.credits_back, 'none') = 'none' and s.returned)
      or (b.credits_back = 'kept' and b.status = 'cancelled' and not s.returned))))
""",
    ),
    Invariant(
        name="spends_for_bookings_are_theirs",
        promises="Credits that were taken for a booking, and not given back, belong to a booking that is there.",
        subject="credit_spend",
        scope=Scope.spend,
        sql="""
select s.id as spend, s.reference, s.amount
from credit_spend s
where s.tenant_id = $1 /*only s.id*/ and s.reference like 'booking:%' and not s.returned
  and not exists (select from booking b where b.tenant_id = s.tenant_id and b.spend_id = s.id)
""",
    ),
    Invariant(
        name="bookings_are_as_their_class",
        promises="A live booking is at the time and place of its class; of a cancelled class there is none.",
        subject="booking",
        scope=Scope.class_,
        sql="""
select b.id as booking, b.number, b.status, b.starts_at, b.ends_at, c.starts_at as class_starts_at, c.ends_at as class_ends_at,
  c.status as class_status
from booking b
join class_instance c on c.tenant_id = b.tenant_id and c.id = b.class_id
where b.tenant_id = $1 /*only b.class_id*/ and b.is_live
  and (c.status <> 'scheduled'
    or (b.starts_at, b.ends_at, b.local_date, b.venue_id) is distinct from (c.starts_at, c.ends_at, c.local_date, c.venue_id))
""",
    ),
    Invariant(
        name="promoted_entries_have_their_booking",
        promises="Who was given a seat from the waitlist has a booking of that class, his own; what is offered is held.",
        subject="waitlist_entry",
        scope=Scope.entry,
        sql="""
select w.id as waitlist_entry, w.status, b.id as booking, b.status as booking_status
from waitlist_entry w
left join booking b on b.tenant_id = w.tenant_id and b.id = w.booking_id
where w.tenant_id = $1 /*only w.id*/ and w.status in ('promoted', 'offered')
  and (b.id is null or (b.class_id, b.customer_id) is distinct from (w.class_id, w.customer_id)
    or (w.status = 'offered' and b.status <> 'held'))
""",
    ),
    Invariant(
        name="no_booking_is_sure_unpaid",
        promises="A booking that has to be paid ahead with money is sure by one payment that is seated on it; who has been there may have it back.",
        subject="booking",
        scope=Scope.booking,
        sql="""
select b.id as booking, b.number, b.status, b.due_minor, b.currency
from booking b
where b.tenant_id = $1 /*only b.id*/ and b.paid_with in ('money', 'credits_and_money') and b.due_minor > 0 and b.status in ('booked', 'attended', 'no_show')
  and not exists (
    select from seat_payment s where s.tenant_id = b.tenant_id and s.booking_id = b.id
      and (s.status = 'seated' or (s.status = 'released' and b.status <> 'booked')))
""",
    ),
    Invariant(
        name="coupons_counted_are_redeemed",
        promises="A coupon was taken as often as it counts, and never oftener than it may be.",
        subject="coupon",
        scope=Scope.coupon,
        sql="""
select k.id as coupon, k.code, k.used, k.uses_max, taken.live
from coupon k
cross join lateral (
  select count(*) as live from coupon_redemption r where r.tenant_id = k.tenant_id and r.coupon_id = k.id and r.released_at is null
) as taken
where k.tenant_id = $1 /*only k.id*/ and (k.used <> taken.live or k.used > k.uses_max)
""",
    ),
    Invariant(
        name="discounts_are_of_coupons",
        promises="What a booking asks ahead is its price less its discount, with the tax that comes on top, or less than that; its discount is what it has of its coupon, and has given back where it came to nothing.",
        subject="booking",
        scope=Scope.booking,
        sql="""
select b.id as booking, b.number, b.status, b.price_minor, b.discount_minor, b.due_minor, r.coupon_id as coupon
from booking b
left join coupon_redemption r on r.tenant_id = b.tenant_id and r.booking_id = b.id
where b.tenant_id = $1 /*only b.id*/
  and (b.due_minor > b.price_minor - b.discount_minor + case when b.tax_included then 0 else b.tax_minor end
    or (b.kind = 'class' and b.discount_minor > 0 and b.deposit_percent is null
      and b.due_minor <> b.price_minor - b.discount_minor + case when b.tax_included then 0 else b.tax_minor end)
    or (b.is_live and b.discount_minor > 0 and (r.booking_id is null or r.released_at is not null))
    or (r.released_at is null and b.status = 'expired' and r.booking_id is not null)
    or (r.booking_id is not null and (b.coupon_id, b.discount_minor, b.currency, b.customer_id)
      is distinct from (r.coupon_id, r.discount_minor, r.currency, r.customer_id)))
""",
    ),
    Invariant(
        name="taxes_are_of_prices",
        promises="What of a booking's money is tax is its rate's share, rounded half to even; who pays for a class without a deposit is asked for net and tax together.",
        subject="booking",
        scope=Scope.booking,
        sql=f"""
select b.id as booking, b.number, b.status, b.price_minor, b.discount_minor, b.due_minor, b.tax_bp, b.tax_included, b.tax_minor
from booking b
cross join lateral (select b.price_minor - b.discount_minor as priced_minor,
  case when b.tax_included then 10000 + b.tax_bp else 10000 end as whole_bp) as of
where b.tenant_id = $1 /*only b.id*/ and b.tax_bp > 0
  and (b.tax_minor is distinct from {_share("of.priced_minor", "b.tax_bp", "of.whole_bp")}
    or (b.kind = 'class' and b.deposit_percent is null
      and b.due_minor is distinct from of.priced_minor + case when b.tax_included then 0 else b.tax_minor end))
""",
    ),
    Invariant(
        name="deposits_are_of_prices",
        promises="Who books a class with a deposit is asked ahead for its share of all that the seats cost, rounded half to even, and of something never for nothing.",
        subject="booking",
        scope=Scope.booking,
        sql=f"""
select b.id as booking, b.number, b.status, b.deposit_percent, b.due_minor, whole.gross_minor
from booking b
cross join lateral (
  select b.price_minor - b.discount_minor + case when b.tax_included then 0 else b.tax_minor end as gross_minor) as whole
where b.tenant_id = $1 /*only b.id*/ and b.deposit_percent is not null
  and (b.kind <> 'class' or b.missing_credits > 0 or b.due_minor is distinct from greatest(
    {_share("whole.gross_minor", "b.deposit_percent", "100")}, least(whole.gross_minor, 1)))
""",
    ),
    Invariant(
        name="part_payments_add_up",
        promises="What is paid partly with credits and partly with money costs as many credits as its seats: those that were taken, and those that money stands in for.",
        subject="booking",
        scope=Scope.booking,
        sql="""
select b.id as booking, b.number, b.status, b.credit_cost, b.missing_credits, b.seats, b.snapshot ->> 'credit_cost' as cost_of_seat
from booking b
where b.tenant_id = $1 /*only b.id*/ and b.missing_credits > 0
  and (b.credit_cost + b.missing_credits <> b.seats * (b.snapshot ->> 'credit_cost')::integer
    or (b.is_live and b.credits_back is not null))
""",
    ),
    Invariant(
        name="money_for_seats_is_seated_or_returns",
        promises="What was paid for a seat has its seat, waits for a report, or goes back; never neither, and never both.",
        subject="seat_payment",
        scope=Scope.source,
        sql="""
select g.id as grant, g.status, s.status as seat_status, s.reason, b.id as booking, b.status as booking_status
from fulfilment_grant g
left join seat_payment s on s.tenant_id = g.tenant_id and s.grant_id = g.id
left join booking b on b.tenant_id = s.tenant_id and b.id = s.booking_id
where g.tenant_id = $1 /*only g.source_id*/ and g.kind = 'seat'
  and (s.grant_id is null
    or (g.status in ('active', 'suspended')) = (s.status = 'released')
    or (s.status = 'seated' and b.status in ('requested', 'held', 'expired')))
""",
    ),
    Invariant(
        name="money_for_seats_moves",
        promises="Money for a seat waits for a report for a day at most, and within a day of having to go back it is asked for; cash is listed (`GET /v1/desk-returns`).",
        subject="seat_payment",
        scope=Scope.whole,
        sql="""
select s.grant_id as grant, s.status, s.reason, s.due_at, s.changed_at, s.booking_id as booking
from seat_payment s
where s.tenant_id = $1 and s.status in ('waiting', 'returning')
  and ((s.status = 'waiting' and s.due_at < now() - interval '1 day')
    or (s.status = 'returning' and s.changed_at < now() - interval '1 day'
      and not exists (select from refund r where r.tenant_id = s.tenant_id and r.purchase_id = s.purchase_id)
      and not exists (select from purchase u join gateway_account a on a.tenant_id = u.tenant_id and a.id = u.gateway_account_id
        where u.tenant_id = s.tenant_id and u.id = s.purchase_id and a.gateway = 'manual')))
""",
    ),
    Invariant(
        name="fees_are_of_offences",
        promises="A fee is of a booking whose customer did not come or cancelled late, of its customer, as large as its terms say, and the only one.",
        subject="booking_fee",
        scope=Scope.booking,
        sql="""
select f.id as booking_fee, f.kind, f.status, f.amount_minor, b.id as booking, b.number, b.status as booking_status
from booking_fee f
left join booking b on b.tenant_id = f.tenant_id and b.id = f.booking_id
where f.tenant_id = $1 /*only f.booking_id*/ and f.status in ('open', 'paid', 'waived')
  and (b.id is null or b.customer_id <> f.customer_id
    or b.status <> case f.kind when 'no_show' then 'no_show' else 'late_cancelled' end
    or (b.terms ->> (f.kind || '_fee_minor'))::bigint is distinct from f.amount_minor
    or b.terms ->> 'fee_currency' is distinct from f.currency
    or exists (select from booking_fee o where o.tenant_id = f.tenant_id and o.booking_id = f.booking_id and o.id <> f.id
      and o.status <> 'withdrawn'))
""",
    ),
    Invariant(
        name="paid_fees_have_their_money",
        promises="A fee that is paid has captured money of its own; what was paid for a fee pays it, or goes back within two days.",
        subject="booking_fee",
        scope=Scope.source,
        sql="""
select f.id as booking_fee, g.id as grant, g.status as grant_status
from booking_fee f
left join fulfilment_grant g on g.tenant_id = f.tenant_id and g.id = f.grant_id
where f.tenant_id = $1 /*only g.source_id*/ and f.status = 'paid'
  and (g.id is null or g.kind <> 'fee' or g.status not in ('active', 'suspended')
    or not exists (select from payment p where p.tenant_id = g.tenant_id and p.purchase_id = g.source_id and p.status = 'succeeded'))
union all
select null, g.id, g.status
from fulfilment_grant g
where g.tenant_id = $1 /*only g.source_id*/ and g.kind = 'fee' and g.status = 'active' and g.created_at < now() - interval '2 days'
  and not exists (select from booking_fee f where f.tenant_id = g.tenant_id and f.grant_id = g.id and f.status = 'paid')
  and not exists (select from refund r where r.tenant_id = g.tenant_id and r.purchase_id = g.source_id)
""",
    ),
    Invariant(
        name="transferred_credits_are_conserved",
        promises="Credits that went to another customer left one lot and came into one of the same pool and end, as many, and do not come back.",
        subject="credit_transfer",
        scope=Scope.spend,
        sql="""
select t.spend_id as spend, t.into_lot_id as lot, t.amount, s.amount as spent, s.returned, i.granted
from credit_transfer t
left join credit_spend s on s.tenant_id = t.tenant_id and s.id = t.spend_id
left join credit_lot o on o.tenant_id = t.tenant_id and o.id = t.from_lot_id
left join credit_lot i on i.tenant_id = t.tenant_id and i.id = t.into_lot_id
where t.tenant_id = $1 /*only t.spend_id*/
  and (s.id is null or i.id is null or s.returned or s.amount <> t.amount or i.granted <> t.amount
    or (s.customer_id, i.customer_id) is distinct from (t.from_customer_id, t.to_customer_id)
    or (o.pool, o.expires_at) is distinct from (i.pool, i.expires_at))
""",
    ),
    Invariant(
        name="staff_give_one_appointment_at_a_time",
        promises="No staff member is in two appointments at once, buffers included, and each takes at least its own time.",
        subject="booking",
        scope=Scope.booking,
        sql="""
select a.id as booking, a.number, b.number as other
from (
  -- A day, and what is before and after it, is the longest that an appointment takes.
  select a.tenant_id, a.id, a.number, a.staff_id, a.busy, a.starts_at, a.ends_at, a.starts_at - interval '2 days' as since,
    a.starts_at + interval '2 days' as until
  from booking a
  where a.tenant_id = $1 /*only a.id*/ and a.kind = 'service' and a.status in ('requested', 'held', 'booked', 'attended')
  offset 0
) as a
left join booking b on b.tenant_id = a.tenant_id and b.staff_id = a.staff_id and b.starts_at between a.since and a.until
  and b.kind = 'service' and b.id <> a.id and b.busy && a.busy and b.status in ('requested', 'held', 'booked', 'attended')
where b.id is not null or not a.busy @> tstzrange(a.starts_at, a.ends_at)
""",
    ),
    Invariant(
        name="refunded_packs_are_used_up",
        promises="What a pack's refund takes is out of the lot while it is asked for, comes back where it is refused, and follows its refund within an hour.",
        subject="pack_refund",
        scope=Scope.lot,
        sql="""
select k.refund_id as refund, k.lot_id as lot, k.status, r.status as refund_status, k.unused, spends.amount as taken,
  reserved.returned as reserved_returned, forfeited.returned as forfeited_returned
from pack_refund k
join refund r on r.tenant_id = k.tenant_id and r.id = k.refund_id
left join credit_spend reserved on reserved.tenant_id = k.tenant_id and reserved.id = k.reserved_spend_id
left join credit_spend forfeited on forfeited.tenant_id = k.tenant_id and forfeited.id = k.forfeited_spend_id
left join purchase p on p.tenant_id = r.tenant_id and p.id = r.purchase_id
cross join lateral (select coalesce(reserved.amount, 0) + coalesce(forfeited.amount, 0) as amount) as spends
where k.tenant_id = $1 /*only k.lot_id*/
  and (spends.amount <> k.unused
    or coalesce(reserved.returned, k.status <> 'asked') <> (k.status <> 'asked')
    or coalesce(forfeited.returned, k.status = 'failed') <> (k.status = 'failed')
    or (k.status = 'asked' and r.status <> 'pending' and p.touched_at < now() - interval '1 hour'))
""",
    ),
)
