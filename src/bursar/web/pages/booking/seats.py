"""One class: what it is, whether it can be booked and why not, and booking it: as a guest, with credits, or by waiting for a seat."""

from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from bursar.apps.booking import bookings, coupons, people, policies, rules
from bursar.apps.booking.bookings import Booking, Landing
from bursar.apps.booking.bookings.models import Pays
from bursar.apps.booking.schedule import ClassNotFound, times
from bursar.apps.booking.schedule.deposits import deposit_of
from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.auth import public
from bursar.kernel.auth.refusals import FormRefused
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, DomainError
from bursar.kernel.identity import tokens
from bursar.kernel.identity.throttle import SignInLimited
from bursar.money import calls, checkouts, customers
from bursar.money.storefront import BuyLink, buy_links
from bursar.web.pages.booking.front import Front, opened
from bursar.web.pages.booking.why import Why, of_failures, of_refusal
from bursar.web.pages.cookies import device_of
from bursar.web.pages.reads.own_bookings import Own, Waiting, booking_in, own_booking, waiting
from bursar.web.pages.reads.timetable import Listed, listed_class
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.shopping import is_address
from bursar.web.pages.texts import printable
from bursar.web.pages.visits import require_same_origin

SEATS_MAX: Final = 9
_NAME_MAX: Final = 120
_CODE_MAX: Final = 32
_PAYS: Final[dict[str, Pays]] = {"auto": "auto", "credits": "credits", "money": "money", "both": "both"}

router = APIRouter(route_class=PageRoute)


class FormStale(FormRefused):
    """The form is not as it was shown."""

    code = "form_stale"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a class stands for whoever is signed in. way: how the seat would be paid. why: every rule in the way.

    balance: credits that can be spent on it. packs: what could be bought with a link instead. rest: money for
    the credits that are missing, where the business lets it be paid so.
    """

    own: Own | None = None
    wait: Waiting | None = None
    balance: int = 0
    is_covered: bool = False
    why: tuple[Why, ...] = ()
    packs: tuple[BuyLink, ...] = ()
    rest: Money | None = None

    @property
    def is_only_full(self) -> bool:
        return bool(self.why) and all(each.code == "class_full" for each in self.why)


@dataclass(frozen=True, slots=True)
class Typed:
    """What stood in the form that was refused."""

    name: str = ""
    email: str = ""
    seats: str = "1"
    wrong: tuple[str, ...] = ()
    coupon: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    """What seats cost with a coupon and tax, before anything is booked. why_not: the coupon cannot be taken; the price is without it.

    tax: what comes on top; None: the price has it in it. due: to book them. rest: to pay at the desk; None: nothing.
    """

    code: str
    price: Money
    off: Money
    tax: Money | None
    due: Money
    rest: Money | None
    why_not: str | None


@router.get("/b/{business}/classes/{a_class}")
@public
async def one_class(request: Request, business: str, a_class: str) -> Response:
    """Show a class, and how to get a seat in it."""
    class_id = _id(request, a_class)
    async with opened(request, business) as (front, tx):
        return await shown(front, tx, class_id)


@router.post("/b/{business}/classes/{a_class}/bookings")
@public
async def book(request: Request, business: str, a_class: str) -> Response:
    """Book seats. Whoever has to pay is led on to the payment; sending the form twice books once."""
    class_id = _id(request, a_class)
    async with opened(request, business) as (front, tx):
        listed = await _class(tx, front, class_id)
    fields = await front.form()
    token = form_link(front, fields.get("link", ""))
    typed = typed_in(front, fields)
    if typed.wrong and "check" not in fields:
        async with front.resources.db.tenant(front.tenant_id) as tx:
            return await shown(front, tx, class_id, typed=typed, status=422)
    if "check" in fields:
        async with front.resources.db.tenant(front.tenant_id) as tx:
            return await shown(front, tx, class_id, typed=typed)
    pays: Pays = _PAYS.get(fields.get("pays", ""), "auto") if front.visitor else _guest_pays(listed)
    try:
        booking_id, is_held = await _booked(
            front, token, class_id=class_id, typed=typed, pays=pays, link=fields["link"]
        )
    except DomainError as refusal:
        return await _told(front, token, class_id, typed=typed, refusal=refusal, link=fields["link"])
    path = _path(front, booking_id, link=fields["link"])
    if is_held:
        await wait_for_page(front, booking_id)
        return front.to(f"{path}/pay")
    return front.to(path)


@router.post("/b/{business}/classes/{a_class}/waitlist")
@public
async def wait(request: Request, business: str, a_class: str) -> Response:
    """Let somebody wait for a seat: at once who is signed in; who is not, as soon as he shows that he reads the address's mail."""
    class_id = _id(request, a_class)
    async with opened(request, business) as (front, tx):
        await _class(tx, front, class_id)
    fields = await front.form()
    page = f"{front.base}/classes/{a_class}"
    if not front.visitor:
        return await _asked_to_show(front, class_id, fields, page=page)
    try:
        async with front.resources.db.tenant(front.tenant_id) as tx:
            await join(front, tx, class_id=class_id, email=front.visitor.email, name=None)
    except Conflict as refusal:
        async with front.resources.db.tenant(front.tenant_id) as tx:
            return await shown(front, tx, class_id, refused=of_refusal(refusal, is_known=True), status=409)
    return front.to(page)


async def join(front: Front, tx: Transaction, *, class_id: UUID, email: str, name: str | None) -> None:
    """Put the person of an address, who has shown that it is his, on a class's waitlist. Raises what `join_waitlist` raises."""
    customer = await people.customer_for(
        tx, tenant_id=front.tenant_id, email=email, name=name, actor=front.actor, now=front.now
    )
    await bookings.join_waitlist(
        tx, tenant_id=front.tenant_id, class_id=class_id, customer_id=customer, actor=front.actor, now=front.now
    )


async def _asked_to_show(front: Front, class_id: UUID, fields: dict[str, str], *, page: str) -> Response:
    """Have a mail sent with which somebody shows that the address is his, and waits from then on."""
    typed = typed_in(front, fields)
    async with front.resources.db.tenant(front.tenant_id) as tx:
        if typed.wrong:
            return await shown(front, tx, class_id, typed=typed, status=422)
        try:
            wish = people.Wish(class_id, typed.name)
            device = device_of(front.request)
            asked = await people.ask(
                tx, tenant_id=front.tenant_id, email=typed.email, goes_on=page, device=device, now=front.now, wish=wish
            )
        except SignInLimited as refusal:
            why = Why(refusal.code, "Too many mails were asked for from here.", "Wait a quarter of an hour.")
            return await shown(front, tx, class_id, typed=typed, refused=why, status=429)
    return front.to(f"{front.base}/sign-in/{asked}")


async def _booked(
    front: Front, token: tokens.Token, *, class_id: UUID, typed: Typed, pays: Pays, link: str
) -> tuple[UUID, bool]:
    """Book, and let the form's link open the booking; return it, and whether it has to be paid. Raises what `book` raises."""
    async with front.resources.db.tenant(front.tenant_id) as tx:
        done = await people.booking_of(tx, token)
        if done:
            return done, False
    booking_id = ids.new()
    page = f"{front.site}{_path(front, booking_id, link=link)}"
    async with front.resources.db.tenant(front.tenant_id) as tx:
        customer = await people.customer_for(
            tx,
            tenant_id=front.tenant_id,
            email=typed.email,
            name=typed.name or None,
            actor=front.actor,
            now=front.now,
        )
        made: Booking = await bookings.book(
            tx,
            tenant_id=front.tenant_id,
            class_id=class_id,
            customer_id=customer,
            seats=int(typed.seats),
            source="online",
            actor=front.actor,
            now=front.now,
            pays=pays,
            coupon=typed.coupon or None,
            booking_id=booking_id,
            landing=Landing(success_url=f"{page}?n=1", cancel_url=page),
        )
        if not await people.keep_link(tx, token, booking_id=made.id, now=front.now):
            raise FormStale("This form was sent before.", hint="Open the page again, and send it from there.")
        return made.id, made.status == "held" and made.order_id is not None


async def _told(
    front: Front, token: tokens.Token, class_id: UUID, *, typed: Typed, refusal: DomainError, link: str
) -> Response:
    """Show why it was refused; unless the same form has booked at the same moment."""
    async with front.resources.db.tenant(front.tenant_id) as tx:
        done = await people.booking_of(tx, token)
        if done:
            return front.to(_path(front, done, link=link))
        if not isinstance(refusal, Conflict):
            raise refusal
        why = of_refusal(
            refusal, is_known=front.visitor is not None or await _is_gone(tx, front, class_id, typed, refusal)
        )
        return await shown(front, tx, class_id, typed=typed, refused=why, status=409)


async def shown(
    front: Front,
    tx: Transaction,
    class_id: UUID,
    *,
    typed: Typed | None = None,
    refused: Why | None = None,
    status: int = 200,
) -> Response:
    """Return a class's page. typed: what stood in a form that was refused; refused: why something else was."""
    a_class = await _class(tx, front, class_id)
    terms = await policies.terms_for(tx, tenant_id=front.tenant_id, policy_id=a_class.policy_id)
    standing = await _standing(front, tx, a_class) if front.visitor else Standing()
    link, _ = tokens.make(front.tenant_id, ids.new())
    return front.answer(
        "class.html",
        status=status,
        c=a_class,
        state=a_class.state(front.now),
        terms=terms,
        fees_told=_fees_told(terms),
        cancel_by=times.told(policies.cancel_by(terms, a_class.starts_at), a_class.time_zone),
        standing=standing,
        typed=typed or Typed(),
        refused=refused,
        link=link,
        ways=await checkouts.ways_to_pay(tx, tenant_id=front.tenant_id),
        quote=await _quote(tx, front, a_class, typed) if typed else None,
        takes_coupons=bool(typed and typed.coupon) or await coupons.takes_any(tx, tenant_id=front.tenant_id),
        seats_max=min(SEATS_MAX, max(a_class.left, 1)),
    )


def _fees_told(terms: policies.Terms) -> str:
    """Return which fees there are, in words: they are read before anything is booked."""
    late = terms.late_cancel_fee_minor and Money(terms.late_cancel_fee_minor, terms.fee_currency)
    missed = terms.no_show_fee_minor and Money(terms.no_show_fee_minor, terms.fee_currency)
    said = [f" Cancelling later costs {late}."] if late else []
    return "".join([*said, f" Not coming costs {missed}."] if missed else said)


async def _quote(tx: Transaction, front: Front, a_class: Listed, typed: Typed) -> Quote | None:
    """Return what the seats cost with the coupon that was typed, the tax on top and the deposit. What one customer has taken of it is looked at when he books."""
    if a_class.money is None or not (typed.coupon or a_class.tax.is_added or a_class.deposit_percent):
        return None
    seats, money = int(typed.seats), a_class.money
    if not typed.coupon:
        return _quoted(a_class, money, seats=seats)
    offer = await coupons.offered(
        tx, tenant_id=front.tenant_id, class_id=a_class.id, code=typed.coupon, customer_id=None
    )
    assert offer is not None, "the class is there"
    why_not = coupons.why_invalid(offer, seats=seats, now=front.now) or coupons.why_used_up(offer)
    return _quoted(
        a_class, money, seats=seats, code=offer.code, off=0 if why_not else offer.off(seats), why_not=why_not
    )


def _quoted(
    a_class: Listed, money: Money, *, seats: int, code: str = "", off: int = 0, why_not: str | None = None
) -> Quote:
    price = money.minor * seats
    taxed = a_class.tax.of(price - off)
    ahead = deposit_of(taxed.gross_minor, a_class.deposit_percent)
    parts = (price, off, taxed.tax_minor, ahead, taxed.gross_minor - ahead)
    whole, less, tax, due, rest = (Money(n, money.currency) for n in parts)
    return Quote(code, whole, less, tax if a_class.tax.is_added else None, due, rest if rest.minor else None, why_not)


async def _is_gone(tx: Transaction, front: Front, class_id: UUID, typed: Typed, refusal: DomainError) -> bool:
    """Say whether it is refused for a coupon that nobody may take any more, which is so for everybody."""
    if refusal.code != coupons.CouponUsedUp.code:
        return False
    found = await coupons.offered(tx, tenant_id=front.tenant_id, class_id=class_id, code=typed.coupon, customer_id=None)
    return found is not None and coupons.why_used_up(found) is not None


async def _standing(front: Front, tx: Transaction, a_class: Listed) -> Standing:
    """Return how a class stands for whoever is signed in. Nothing is written: nobody becomes a customer by looking."""
    assert front.visitor
    place, now, email = {"tenant_id": front.tenant_id}, front.now, front.visitor.email
    mine = await customers.customers_of_email(tx, **place, email=email)
    own_id = await booking_in(tx, **place, class_id=a_class.id, customers=mine)
    own = await own_booking(tx, **place, booking_id=own_id, now=now) if own_id else None
    waits = [each for each in await waiting(tx, **place, customers=mine, now=now) if each.class_id == a_class.id]
    customer_id = await customers.customer_of_email(tx, **place, email=email, now=now)
    wait = waits[0] if waits else None
    if customer_id is None or (own and not own.is_offer) or a_class.state(now) in ("cancelled", "begun"):
        return Standing(own=own, wait=wait, packs=await _packs(tx, front, a_class, balance=0))
    found = await rules.situation(
        tx,
        tenant_id=front.tenant_id,
        class_id=a_class.id,
        customer_id=customer_id,
        seats=1,
        source="online",
        now=now,
    )
    both = replace(found, pays="both")
    may_both = a_class.money is not None and both.credits_of_both > 0 and not rules.failures(both)
    failing = [] if own else [each for each in rules.failures(found) if each.code != "already_booked"]
    return Standing(
        own=own,
        wait=wait,
        balance=found.credits.usable,
        is_covered=found.is_covered,
        why=of_failures(failing),
        packs=await _packs(tx, front, a_class, balance=found.credits.usable),
        rest=_rest(a_class, both.credits_of_both) if may_both else None,
    )


def _rest(a_class: Listed, part: int) -> Money:
    """Return what the credits of one seat cost that are missing beside those that there are."""
    assert a_class.money is not None, "only what has a price is paid with money"
    missing = a_class.credit_cost - part
    amount = bookings.money_for(missing, a_class.credit_cost, a_class.money.minor)
    return Money(a_class.tax.of(amount).gross_minor, a_class.money.currency)


async def _packs(tx: Transaction, front: Front, a_class: Listed, *, balance: int) -> tuple[BuyLink, ...]:
    """Return what can be bought with a link and brings credits, where there are too few."""
    if not a_class.credit_cost or balance >= a_class.credit_cost:
        return ()
    found = await buy_links(tx, tenant_id=front.tenant_id)
    return tuple(each for each in found if each.is_on and '"credits"' in each.grants)[:3]


async def _class(tx: Transaction, front: Front, class_id: UUID) -> Listed:
    found = await listed_class(tx, tenant_id=front.tenant_id, class_id=class_id)
    if found is None:
        raise ClassNotFound("There is no such class.", hint="Choose another one from the timetable.")
    return found


async def wait_for_page(front: Front, booking_id: UUID) -> None:
    """Wait a moment for the gateway's page, so that whoever pays is led on at once."""
    async with front.resources.db.tenant(front.tenant_id) as tx:
        own = await own_booking(tx, tenant_id=front.tenant_id, booking_id=booking_id, now=front.now)
    if own and own.call_id:
        await calls.waited(
            front.resources.db, tenant_id=front.tenant_id, call_id=own.call_id, at_most=front.outcome_wait
        )


def _id(request: Request, text: str) -> UUID:
    """Return the class of an address; what another site's page sends is refused before it is looked at."""
    if request.method == "POST":
        require_same_origin(request)
    return ids.parse(ids.CLASS, text)


def typed_in(front: Front, fields: dict[str, str]) -> Typed:
    """Return who books how many seats; of whoever is signed in the address is known."""
    name = printable(fields.get("name", ""))[:_NAME_MAX]
    email = front.visitor.email if front.visitor else printable(fields.get("email", ""))[:254]
    seats = fields.get("seats", "1")
    wrong = []
    if not front.visitor and not name:
        wrong.append("name")
    if not is_address(email):
        wrong.append("email")
    if not (len(seats) == 1 and seats.isascii() and seats.isdigit() and seats != "0"):
        wrong, seats = [*wrong, "seats"], "1"
    coupon = printable(fields.get("coupon", "")).strip()[:_CODE_MAX]
    return Typed(name, email, seats, tuple(wrong), coupon)


def _guest_pays(a_class: Listed) -> Pays:
    """Return how somebody pays who is not signed in: never with credits, which are somebody's who has to show that they are his."""
    return "nothing" if a_class.is_free else "money"


def form_link(front: Front, text: str) -> tokens.Token:
    """Return the link that a form carries, which opens what it books. Raises FormStale."""
    token = tokens.read(text)
    if token is None or token.tenant_id != front.tenant_id:
        raise FormStale("This form is not as it was shown.", hint="Open the page again, and send it from there.")
    return token


def _path(front: Front, booking_id: UUID, *, link: str) -> str:
    """Return the path of a booking's page: by its link, or for its customer by its id."""
    name = ids.show(ids.BOOKING, booking_id) if front.visitor else link
    return f"{front.base}/bookings/{name}"
