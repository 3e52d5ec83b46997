"""What each rule about booking a seat decides. Pure: a situation and the rule's parameters in, what stands against it out."""

from datetime import date, datetime, timedelta
from typing import Final

from bursar.apps.booking.coupons import why_invalid, why_used_up
from bursar.apps.booking.rules.models import STAFFED, ClassFacts, Found, Situation, Values
from bursar.apps.booking.schedule import times

_DAY: Final = timedelta(days=1)


def scheduled(s: Situation, _: Values) -> Found | None:
    if s.a_class.status == "scheduled":
        return None
    return Found(f"{s.a_class.title} was cancelled", "Choose another class.")


def published(s: Situation, _: Values) -> Found | None:
    if s.a_class.is_published or s.source in STAFFED:
        return None
    return Found(f"{s.a_class.title} is not published yet", "Publish it, or wait until it is.")


def not_begun(s: Situation, _: Values) -> Found | None:
    if s.now < s.a_class.starts_at or s.now >= s.a_class.ends_at or s.source in STAFFED:
        return None
    began = _local(s.a_class, s.a_class.starts_at)
    return Found(
        f"{s.a_class.title} began at {began}", "Ask at the desk, or choose a later class.", {"starts_at": began}
    )


def not_over(s: Situation, _: Values) -> Found | None:
    if s.now < s.a_class.ends_at or s.source == "import":
        return None
    ended = _local(s.a_class, s.a_class.ends_at)
    return Found(f"{s.a_class.title} ended at {ended}", "Choose a class to come.", {"ends_at": ended})


def opened(s: Situation, p: Values) -> Found | None:
    opens_at = s.a_class.starts_at - int(p["days"]) * _DAY
    if s.now >= opens_at:
        return None
    shown = _local(s.a_class, opens_at)
    return Found(f"booking opens at {shown}", "Come back then.", {"opens_at": shown})


def not_closed(s: Situation, p: Values) -> Found | None:
    closes_at = s.a_class.starts_at - timedelta(minutes=int(p["minutes"]))
    if s.now < closes_at:
        return None
    shown = _local(s.a_class, closes_at)
    return Found(f"booking closed at {shown}", "Ask at the desk, or choose a later class.", {"closed_at": shown})


def active(s: Situation, _: Values) -> Found | None:
    if s.customer.is_active and not s.customer.is_deleted:
        return None
    return Found("the customer is not active", "Ask the business to make the account active again.")


def not_banned(s: Situation, _: Values) -> Found | None:
    if not s.customer.is_banned:
        return None
    return Found("the customer may not book here", "Speak with the business.")


def waiver_signed(s: Situation, p: Values) -> Found | None:
    signed = s.customer.waiver_signed_at
    if signed is None:
        return Found("the waiver is not signed", "Sign the waiver first; the desk has it.")
    ended = signed + int(p["valid_days"]) * _DAY
    if ended > s.a_class.starts_at:
        return None
    return Found(
        f"the waiver was signed {signed.date()} and is {p['valid_days']} days valid",
        "Sign it anew; the desk has it.",
        {"signed_on": signed.date().isoformat()},
    )


def of_age(s: Situation, _: Values) -> Found | None:
    least, most = s.a_class.requirements.get("age_min"), s.a_class.requirements.get("age_max")
    if least is None and most is None:
        return None
    if s.customer.born_on is None:
        return Found("the class is for certain ages, and the birth date is not known", "Tell the desk the birth date.")
    age = _age(s.customer.born_on, s.a_class.local_date)
    if (least is None or age >= least) and (most is None or age <= most):
        return None
    ages = f"from {least or 0}" + (f" to {most}" if most is not None else "")
    return Found(
        f"the class is for ages {ages}; the customer will be {age}", "Choose a class for that age.", {"age": age}
    )


def of_level(s: Situation, _: Values) -> Found | None:
    return _among(s, "levels", s.customer.level, "level")


def of_gender(s: Situation, _: Values) -> Found | None:
    return _among(s, "genders", s.customer.gender, "gender")


def member(s: Situation, _: Values) -> Found | None:
    wanted = s.a_class.requirements.get("membership")
    if wanted is None or wanted in s.features:
        return None
    return Found(
        f"the class is for those who have {wanted} when it begins", f"Take out {wanted} first.", {"membership": wanted}
    )


def first_time(s: Situation, _: Values) -> Found | None:
    if not s.a_class.requirements.get("first_timer") or not s.own.has_any:
        return None
    return Found("the class is for who comes for the first time", "Choose any other class.")


def intro_once(s: Situation, _: Values) -> Found | None:
    if not s.a_class.requirements.get("intro") or not s.own.has_intro:
        return None
    return Found("an introduction is given once to each person, and was booked already", "Choose any other class.")


def seats_free(s: Situation, _: Values) -> Found | None:
    left = s.a_class.seats_left
    if s.own.has_offer or (left >= s.seats and not s.is_waited_for):
        return None
    hint = "Join the waitlist, or choose another class."
    context: dict[str, str | int] = {"seats_left": left}
    if left >= s.seats:
        return Found(f"the seats that are free are for the {s.a_class.waiting} who wait", hint, context)
    said = f"{s.a_class.title} is full" if not left else f"{left} seats are left, {s.seats} are asked for"
    return Found(said, hint, context)


def walk_ins_kept(s: Situation, p: Values) -> Found | None:
    return None if s.source in STAFFED else _kept(s, p, "for who walks in", "Come by, or choose another class.")


def online_kept(s: Situation, p: Values) -> Found | None:
    return _kept(s, p, "for who books online", "Let the customer book online.") if s.source in STAFFED else None


def not_yet_booked(s: Situation, _: Values) -> Found | None:
    if s.own.booked is None:
        return None
    return Found(
        f"the customer has the booking {s.own.booked} of this class",
        "One booking of a class is enough; change that one.",
        {"booking": s.own.booked},
    )


def few_seats(s: Situation, p: Values) -> Found | None:
    if s.seats <= int(p["seats_max"]):
        return None
    return Found(
        f"a booking has {p['seats_max']} seats at most", "Book fewer seats.", {"seats_max": int(p["seats_max"])}
    )


def not_elsewhere(s: Situation, _: Values) -> Found | None:
    if s.own.overlapping is None:
        return None
    return Found(
        f"the booking {s.own.overlapping} is at the same time",
        "Cancel that one first, or choose another time.",
        {"booking": s.own.overlapping},
    )


def few_a_day(s: Situation, p: Values) -> Found | None:
    return _fewer(s.own.on_day, int(p["bookings_max"]), f"on {s.a_class.local_date}", "Choose another day.")


def few_a_week(s: Situation, p: Values) -> Found | None:
    return _fewer(s.own.in_week, int(p["bookings_max"]), "in this week", "Choose another week.")


def few_to_come(s: Situation, p: Values) -> Found | None:
    return _fewer(s.own.to_come, int(p["bookings_max"]), "to come", "Attend or cancel one first.")


def few_offences(s: Situation, p: Values) -> Found | None:
    if s.source in STAFFED or s.own.offences < int(p["offences_max"]):
        return None
    return Found(
        f"{s.own.offences} no-shows and late cancellations in the last {p['days']} days",
        "Ask at the desk to be booked in.",
        {"offences": s.own.offences},
    )


def payable(s: Situation, _: Values) -> Found | None:
    if s.is_payable:
        return None
    return Found(
        f"{s.a_class.title} is not paid with {s.pays}",
        "Pay with what the class takes; staff may waive it, with a reason.",
    )


def paid_with_one_thing(s: Situation, p: Values) -> Found | None:
    if s.pays != "both" or (p["but_staff"] and s.source in STAFFED):
        return None
    return Found(
        "a seat is paid with credits or with money, not partly with each", "Pay with money, or buy a pack first."
    )


def coupons_taken(s: Situation, _: Values) -> Found | None:
    if s.coupon is None:
        return None
    return Found("no coupons are taken at the moment", "Book without it.")


def coupon_valid(s: Situation, _: Values) -> Found | None:
    if s.coupon is None:
        return None
    why = why_invalid(s.coupon, seats=s.seats, now=s.now)
    if why is None and s.pays != "money":
        why = f"a coupon lessens a price, and the class is to be paid with {s.pays}"
    return Found(why, "Leave it out, or use another one.", {"coupon": s.coupon.code}) if why else None


def coupon_left(s: Situation, _: Values) -> Found | None:
    why = why_used_up(s.coupon) if s.coupon else None
    return Found(why, "Book without it, or use another one.", {"coupon": s.coupon.code}) if why and s.coupon else None


def enough_credits(s: Situation, _: Values) -> Found | None:
    if not s.takes_credits or s.is_covered or s.credits.usable >= s.cost:
        return None
    return Found(
        f"{_credits(s.cost)} asked for, {s.credits.usable} can be spent on this class",
        "Buy a pack first.",
        {"balance": s.credits.usable, "amount": s.cost, "pool": "+".join(s.a_class.pools)},
    )


def credits_of_the_class(s: Situation, _: Values) -> Found | None:
    if not _lacks_credits(s) or not s.credits.elsewhere:
        return None
    return Found(
        f"{s.credits.elsewhere} credits of the customer are for other classes",
        f"This class is paid with credits of {', '.join(s.a_class.pools)}.",
        {"credits_elsewhere": s.credits.elsewhere},
    )


def credits_of_the_venue(s: Situation, _: Values) -> Found | None:
    if not _lacks_credits(s) or not s.credits.barred:
        return None
    return Found(
        f"{s.credits.barred} credits of the customer are good at other venues",
        "Book a class at one of their venues, or buy a pack for this one.",
        {"credits_barred": s.credits.barred},
    )


def credits_last(s: Situation, _: Values) -> Found | None:
    if not _lacks_credits(s) or not s.credits.ending:
        return None
    return Found(
        f"{s.credits.ending} credits of the customer expire before the class begins",
        "Choose an earlier class, or buy a pack that lasts.",
        {"credits_ending": s.credits.ending},
    )


def not_paused(s: Situation, _: Values) -> Found | None:
    is_paused = any(each.is_suspended for each in s.memberships)
    if not _lacks_credits(s) or not (s.credits.suspended or is_paused):
        return None
    return Found(
        "what would pay for the class is paused or disputed",
        "Take the subscription up again, or settle the dispute.",
        {"credits_suspended": s.credits.suspended},
    )


def fair_use(s: Situation, _: Values) -> Found | None:
    spent = [each for each in s.memberships if not each.has_room and not each.is_suspended]
    if not _lacks_credits(s) or s.seats > 1 or not spent:
        return None
    one = spent[0]
    until = _local(s.a_class, one.until) if one.until else "its end"
    return Found(
        f"{one.used} of {one.amount_max} classes of {one.feature} are booked until {until}",
        "Choose a later class, or buy a pack.",
        {"membership": one.feature, "used": one.used, "limit": one.amount_max or 0},
    )


def dues_paid(s: Situation, p: Values) -> Found | None:
    since = s.customer.dues_unpaid_since
    fee_since = s.customer.fee_unpaid_since if p["fees"] else None
    if since is None and fee_since:
        told = fee_since.date().isoformat()
        return Found(f"a fee is owed since {told}", "Pay it in the account, or at the desk.", {"unpaid_since": told})
    if since is None:
        return None
    return Found(
        f"dues are unpaid since {since.date()}", "Pay them at the desk.", {"unpaid_since": since.date().isoformat()}
    )


def few_credits_ahead(s: Situation, p: Values) -> Found | None:
    most = int(p["credits_max"])
    if not s.takes_credits or s.is_covered or s.own.credits_ahead + s.cost <= most:
        return None
    return Found(
        f"{s.own.credits_ahead} credits are spent on classes to come, {most} may be",
        "Attend or cancel one first.",
        {"credits_ahead": s.own.credits_ahead},
    )


def _credits(count: int) -> str:
    return "1 credit is" if count == 1 else f"{count} credits are"


def _lacks_credits(s: Situation) -> bool:
    return s.takes_credits and not s.is_covered and s.credits.usable < s.cost


def _kept(s: Situation, p: Values, for_whom: str, hint: str) -> Found | None:
    ends_at = s.a_class.starts_at - timedelta(minutes=int(p["until_minutes"]))
    left = max(s.a_class.seats_left - int(p["seats"]), 0)
    if s.now >= ends_at or left >= s.seats or s.a_class.seats_left < s.seats:
        return None
    shown = _local(s.a_class, ends_at)
    return Found(
        f"{p['seats']} seats are kept {for_whom} until {shown}", hint, {"seats_left": left, "kept_until": shown}
    )


def _among(s: Situation, name: str, value: str | None, what: str) -> Found | None:
    wanted = s.a_class.requirements.get(name)
    if not wanted or value in wanted:
        return None
    among = ", ".join(wanted)
    if value is None:
        return Found(f"the class is for {among}, and the customer's {what} is not known", f"Tell the desk the {what}.")
    return Found(f"the class is for {among}; the customer's {what} is {value}", "Choose another class.", {what: value})


def _fewer(count: int, most: int, when: str, hint: str) -> Found | None:
    if count < most:
        return None
    return Found(f"the customer has {count} bookings {when}, {most} may be", hint, {"bookings": count})


def _age(born_on: date, on: date) -> int:
    return on.year - born_on.year - ((on.month, on.day) < (born_on.month, born_on.day))


def _local(a_class: ClassFacts, at: datetime) -> str:
    return times.local(at, a_class.time_zone)
