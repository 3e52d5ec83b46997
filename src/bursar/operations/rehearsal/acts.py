"""What happens in the studio: one act of somebody, chosen by the seed, said in words without names."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final

from bursar.apps.booking import bookings, packs
from bursar.apps.booking.bookings import Landing
from bursar.apps.booking.bookings.models import Pays
from bursar.apps.booking.services import appointments
from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.money import refunding
from bursar.operations.rehearsal.gateway import Gateway
from bursar.operations.rehearsal.stage import ACTOR, SEAT, Stage, plan_class

_LANDING: Final = Landing(success_url="https://studio.example/thanks")
_CUSTOMERS = "select id, gateway_ref from customer where tenant_id = $1 order by gateway_ref"
_CLASSES = """
select id, starts_at, capacity, booked + held as taken from class_instance
where tenant_id = $1 and status = 'scheduled' and ends_at > $2 order by starts_at, created_at
"""
_LIVE = """
select id, class_id, kind, starts_at from booking where tenant_id = $1 and status in ('requested', 'held', 'booked') order by created_at, id
"""
_BEGUN = """
select id, status from booking where tenant_id = $1 and status in ('booked', 'attended', 'no_show') and starts_at < $2 order by created_at, id
"""
_TO_PAY = """
select b.id, b.order_id, b.due_minor, b.status, c.gateway_ref from booking b
join customer c on c.tenant_id = b.tenant_id and c.id = b.customer_id
where b.tenant_id = $1 and b.order_id is not null and b.starts_at > $2::timestamptz - interval '1 day'
  and not exists (select from seat_payment s where s.tenant_id = b.tenant_id and s.booking_id = b.id)
order by b.created_at, b.id
"""
_ENTRIES = (
    "select id from waitlist_entry where tenant_id = $1 and status in ('waiting', 'offered') order by created_at, id"
)
_PAYMENTS = """
select p.id, p.gateway_ref, p.amount_minor, p.is_disputed from payment p
where p.tenant_id = $1 and p.status = 'succeeded' and p.superseded_by is null and p.gateway_ref like 'pi_%'
order by p.created_at, p.gateway_ref
"""


class Acts:
    """The acts of a rehearsal. each returns what was answered."""

    def __init__(self, stage: Stage, gateway: Gateway) -> None:
        self.stage = stage
        self.gateway = gateway
        self._who: dict[str, Any] = {"tenant_id": stage.tenant_id, "actor": ACTOR}

    async def plan(self) -> str:
        """Add a class of few seats."""
        random = self.stage.random
        after = timedelta(minutes=30 * random.randint(2, 200))
        given: dict[str, Any] = {
            "capacity": random.choice((1, 1, 2, 3)),
            "policy": random.choice(list(self.stage.policies)),
        }
        cost = random.choice((1, 1, 2))
        return await self.stage.do(lambda tx: plan_class(tx, self.stage, after=after, cost=cost, **given))

    async def buy(self) -> str:
        """Sell somebody a pack, perhaps somebody new."""
        self.gateway.sell_pack(f"cus_{self.stage.random.randint(1, 9)}")
        return "a pack"

    async def book(self) -> str:
        """Book a class, with credits, money, or whatever there is; once in a while several seats, or by staff."""
        random, stage = self.stage.random, self.stage
        customer, chosen = stage.one_of(await self._customers()), stage.one_of(await self._classes())
        pays: Pays = random.choice(("auto", "auto", "credits", "money", "money"))
        seats, is_staff = random.choice((1, 1, 1, 1, 2)), random.random() < 0.1  # noqa: PLR2004
        booking_id = ids.new()
        if not customer or not chosen:
            return "nobody"

        async def act(tx: Transaction) -> str:
            more: dict[str, Any] = (
                {"source": "desk", "override_reason": "her sister"} if is_staff else {"source": "online"}
            )
            made = await bookings.book(
                tx,
                **self._who,
                class_id=chosen["id"],
                customer_id=customer["id"],
                seats=seats,
                pays=pays,
                now=stage.now,
                booking_id=booking_id,
                landing=_LANDING,
                **more,
            )
            return f"{made.status} by {made.paid_with}"

        return await stage.do(act)

    async def pay(self) -> str:
        """Pay what is held, or what was held and is over by now; sometimes twice, sometimes too little."""
        random = self.stage.random
        found = self.stage.one_of(await self.stage.rows(_TO_PAY, self.stage.now))
        times, short = random.choice((1, 1, 1, 1, 2)), random.choice((0, 0, 0, 0, 0, 1))
        if not found:
            return "nothing"
        order = ids.show(ids.ORDER, found["order_id"])
        for _ in range(times):
            amount = (found["due_minor"] or SEAT.amount_minor) - short
            self.gateway.pay(customer=found["gateway_ref"], amount=amount, metadata={"bursar_order": order})
        return f"{times} × {found['status']}, {short} too little"

    async def cancel(self) -> str:
        """Give a booking up, by the customer or by the business."""
        is_customer = self.stage.random.random() < 0.75  # noqa: PLR2004
        found = await self._live()

        async def act(tx: Transaction) -> str:
            done = await bookings.cancel(
                tx, **self._who, booking_id=found["id"], is_customer=is_customer, reason=None, now=self.stage.now
            )
            return f"{done.status}, credits {done.credits_back}"

        return await self.stage.do(act) if found else "nothing"

    async def confirm(self) -> str:
        """Let staff confirm a request, or what is none."""
        found = await self._live()

        async def act(tx: Transaction) -> str:
            confirm: Any = bookings.confirm if found["class_id"] else appointments.confirm
            done = await confirm(tx, **self._who, booking_id=found["id"], now=self.stage.now, landing=_LANDING)
            return str(done.status)

        return await self.stage.do(act) if found else "nothing"

    async def call_off(self) -> str:
        """Cancel a whole class."""
        chosen = self.stage.one_of(await self._classes())

        async def act(tx: Transaction) -> str:
            off = await bookings.cancel_class(
                tx, **self._who, class_id=chosen["id"], reason="The pipes burst.", now=self.stage.now
            )
            return f"{off.bookings} bookings, {off.credits} credits, {off.waiting} waiting"

        return await self.stage.do(act) if chosen else "nothing"

    async def change(self) -> str:
        """Change how many a class takes, or move it by an hour."""
        random = self.stage.random
        chosen = self.stage.one_of(await self._classes())
        capacity, is_moved = random.randint(1, 4), random.random() < 0.3  # noqa: PLR2004
        if not chosen:
            return "nothing"

        async def act(tx: Transaction) -> str:
            what: dict[str, Any] = {"duration_min": 75} if is_moved else {"capacity": capacity}
            await bookings.change_class(
                tx, **self._who, class_id=chosen["id"], changes=what, now=self.stage.now, allows_overbooked=True
            )
            return "changed"

        return await self.stage.do(act)

    async def wait(self) -> str:
        """Join a waitlist."""
        stage = self.stage
        full = [each for each in await self._classes() if each["taken"] >= each["capacity"]]
        customer, chosen = stage.one_of(await self._customers()), stage.one_of(full)
        seats = stage.random.choice((1, 1, 1, 2))

        async def act(tx: Transaction) -> str:
            made = await bookings.join_waitlist(
                tx, **self._who, class_id=chosen["id"], customer_id=customer["id"], count=seats, now=stage.now
            )
            return made.status

        return await stage.do(act) if customer and chosen else "nothing"

    async def leave(self) -> str:
        """Leave a waitlist."""
        found = self.stage.one_of(await self.stage.rows(_ENTRIES))

        async def act(tx: Transaction) -> str:
            return (await bookings.leave_waitlist(tx, **self._who, entry_id=found["id"], now=self.stage.now)).status

        return await self.stage.do(act) if found else "nothing"

    async def attend(self) -> str:
        """Write down that somebody came, or did not, or neither."""
        found = self.stage.one_of(await self.stage.rows(_BEGUN, self.stage.now + timedelta(minutes=15)))
        doing: Any = self.stage.random.choice(
            (bookings.check_in, bookings.check_in, bookings.mark_no_show, bookings.undo_check_in)
        )

        async def act(tx: Transaction) -> str:
            done = await doing(tx, **self._who, booking_id=found["id"], now=self.stage.now)
            return f"{found['status']} is {done.status}"

        return await self.stage.do(act) if found else "nothing"

    async def move(self) -> str:
        """Move a booking to another class."""
        found, chosen = await self._live(), self.stage.one_of(await self._classes())

        async def act(tx: Transaction) -> str:
            done = await bookings.reschedule(
                tx, **self._who, booking_id=found["id"], class_id=chosen["id"], now=self.stage.now
            )
            return f"{done.status}, move {done.moves}"

        return await self.stage.do(act) if found and chosen and found["class_id"] else "nothing"

    async def appoint(self) -> str:
        """Give an appointment, paid ahead or not."""
        stage, random = self.stage, self.stage.random
        customer = stage.one_of(await self._customers())
        at = stage.now.replace(minute=0, second=0, microsecond=0) + timedelta(minutes=30 * random.randint(3, 12))
        is_paid_ahead = random.random() < 0.6  # noqa: PLR2004
        if not customer:
            return "nobody"
        new = appointments.NewAppointment(
            service_id=stage.tier[0],
            tier_id=stage.tier[1],
            customer_id=customer["id"],
            starts_at=at,
            staff_id=stage.staff_id,
            venue_id=stage.venue_id,
            is_paid_ahead=is_paid_ahead,
            override_reason="a friend of the house",
            landing=_LANDING,
        )

        async def act(tx: Transaction) -> str:
            return (await appointments.book(tx, tenant_id=stage.tenant_id, new=new, actor=ACTOR, now=stage.now)).status

        return await stage.do(act)

    async def refund(self) -> str:
        """Give money back: what is unused of a pack, or a payment whatever it bought."""
        is_pack = self.stage.random.random() < 0.5  # noqa: PLR2004
        found = self.stage.one_of(await self.stage.rows(_PAYMENTS))
        refund_id = ids.new()

        async def act(tx: Transaction) -> str:
            given: dict[str, Any] = {"payment_id": found["id"], "amount_minor": None, "reason": None}
            if is_pack:
                made = await packs.refund_pack(tx, **self._who, **given, now=self.stage.now)
                return f"a pack, {made.unused} unused"
            await refunding.ask_refund(tx, **self._who, **given, now=self.stage.now, refund_id=refund_id)
            return "a payment"

        return await self.stage.do(act) if found else "nothing"

    async def dispute(self) -> str:
        """Let a bank take a payment back, or decide."""
        found = self.stage.one_of(await self.stage.rows(_PAYMENTS))
        won = self.stage.random.random() < 0.5  # noqa: PLR2004
        if not found:
            return "nothing"
        status = "needs_response" if not found["is_disputed"] else "won" if won else "lost"
        kind = "closed" if found["is_disputed"] else "created"
        self.gateway.dispute(found["gateway_ref"], found["amount_minor"], status, kind)
        return status

    async def deliver(self) -> str:
        return await self.gateway.deliver()

    async def give_back(self) -> str:
        return await self.gateway.refund_what_was_asked()

    async def fall_silent(self) -> str:
        """Let the gateway report nothing for some hours."""
        self.gateway.silent_until = self.stage.now.timestamp() + self.stage.random.uniform(600, 20_000)
        return "silence"

    async def work(self) -> str:
        await self.stage.work()
        return "worked"

    async def _customers(self) -> list[Any]:
        return await self.stage.rows(_CUSTOMERS)

    async def _classes(self) -> list[Any]:
        return await self.stage.rows(_CLASSES, self.stage.now)

    async def _live(self) -> Any:
        return self.stage.one_of(await self.stage.rows(_LIVE))


WEIGHTS: Final[dict[Callable[[Acts], Awaitable[str]], int]] = {
    Acts.plan: 5,
    Acts.buy: 6,
    Acts.book: 26,
    Acts.pay: 10,
    Acts.cancel: 9,
    Acts.confirm: 4,
    Acts.call_off: 1,
    Acts.change: 3,
    Acts.wait: 10,
    Acts.leave: 2,
    Acts.attend: 5,
    Acts.move: 6,
    Acts.appoint: 5,
    Acts.refund: 3,
    Acts.dispute: 1,
    Acts.deliver: 14,
    Acts.give_back: 4,
    Acts.fall_silent: 1,
    Acts.work: 8,
}
