"""The other side: a gateway's objects as Stripe writes them, by the hundred, and what it reported of them."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from bursar.money.gateways.calls import Kind
from stage import event

Json = dict[str, Any]

HOUR = 3600
DAY = 24 * HOUR
LISTED = (Kind.payment, Kind.charge, Kind.refund, Kind.dispute, Kind.subscription, Kind.balance_transaction)
REPORTED = {
    Kind.payment: "payment_intent.succeeded",
    Kind.refund: "refund.created",
    Kind.dispute: "charge.dispute.created",
    Kind.subscription: "customer.subscription.updated",
}


class Killed(BaseException):
    """The process died here."""


@dataclass
class Outside:
    """Objects by kind and id. asked: how many pages were listed. before_page: called with that number before each."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    kept: dict[Kind, dict[str, Json]] = field(default_factory=lambda: {kind: {} for kind in LISTED})
    asked: int = 0
    before_page: Callable[[int], None] = lambda _: None
    _sorted: dict[Kind, list[tuple[int, str]]] = field(default_factory=dict)

    @property
    def at(self) -> int:
        return int(self.now.timestamp())

    def fill(self, payments: int) -> None:
        """Have payments spread over four weeks, each with its charge and booking; of ten, one is refunded and one of a
        subscription; of a hundred, one disputed."""
        step = 27 * DAY / max(payments, 1)
        for n in range(payments):
            name = f"{n:06}"
            self.pay(name, made=int(self.at - DAY - n * step))
            if n % 10 == 3:
                self.refund(name, made=self.at - HOUR * 5 - n)
            if n % 100 == 7:
                self.dispute(name, made=self.at - HOUR * 6 - n)
            if n % 10 == 5:
                self.subscribe(name, made=self.at - 200 * DAY - n)

    def pay(self, n: str, *, made: int, amount: int = 5000, **more: Any) -> Json:
        base = {"currency": "eur", "customer": f"cus_{n}", "created": made, "amount": amount}
        self.add(
            Kind.charge,
            base
            | {
                "id": f"ch_{n}",
                "object": "charge",
                "status": "succeeded",
                "paid": True,
                "captured": True,
                "amount_captured": amount,
                "amount_refunded": 0,
                "payment_intent": f"pi_{n}",
                "metadata": {},
            },
        )
        self.book(f"ch_{n}", amount=amount, fee=25 + amount // 70, made=made)
        payment = {
            "id": f"pi_{n}",
            "object": "payment_intent",
            "status": "succeeded",
            "amount_received": amount,
            "latest_charge": f"ch_{n}",
            "metadata": {"bursar_price": "pack-10"},
        }
        return self.add(Kind.payment, base | payment | more)

    def refund(self, n: str, *, made: int, amount: int = 2000) -> Json:
        self.book(f"re_{n}", amount=-amount, fee=0, made=made, kind="refund")
        return self.add(
            Kind.refund,
            {
                "id": f"re_{n}",
                "object": "refund",
                "status": "succeeded",
                "amount": amount,
                "currency": "eur",
                "charge": f"ch_{n}",
                "payment_intent": f"pi_{n}",
                "created": made,
                "metadata": {},
            },
        )

    def dispute(self, n: str, *, made: int, amount: int = 5000) -> Json:
        return self.add(
            Kind.dispute,
            {
                "id": f"dp_{n}",
                "object": "dispute",
                "status": "needs_response",
                "amount": amount,
                "currency": "eur",
                "charge": f"ch_{n}",
                "payment_intent": f"pi_{n}",
                "created": made,
                "balance_transactions": [],
                "evidence_details": {"due_by": self.at + 9 * DAY},
            },
        )

    def subscribe(self, n: str, *, made: int, status: str = "active") -> Json:
        period = {"current_period_start": self.at - 9 * DAY, "current_period_end": self.at + 21 * DAY}
        item = {"id": f"si_{n}", "object": "subscription_item", "quantity": 1, "price": {"id": "price_member"}} | period
        return self.add(
            Kind.subscription,
            {
                "id": f"sub_{n}",
                "object": "subscription",
                "status": status,
                "customer": f"cus_{n}",
                "created": made,
                "cancel_at_period_end": False,
                "metadata": {},
                "items": {"object": "list", "data": [item]},
            },
        )

    def book(self, source: str, *, amount: int, fee: int, made: int, kind: str = "charge") -> Json:
        return self.add(
            Kind.balance_transaction,
            {
                "id": f"txn_{source}",
                "object": "balance_transaction",
                "type": kind,
                "source": source,
                "amount": amount,
                "fee": fee,
                "net": amount - fee,
                "currency": "eur",
                "status": "available",
                "available_on": made + 2 * DAY,
                "created": made,
            },
        )

    def add(self, kind: Kind, item: Json) -> Json:
        self.kept[kind][item["id"]] = item
        self._sorted.pop(kind, None)
        return item

    def lose(self, kind: Kind, ref: str) -> Json:
        """Be as if something had never been made."""
        self._sorted.pop(kind, None)
        return self.kept[kind].pop(ref)

    @property
    def count(self) -> int:
        return sum(len(items) for items in self.kept.values())

    def reports(self) -> Iterator[Json]:
        """A report of each object that is reported, as it is now."""
        for kind, told in REPORTED.items():
            for item in self.kept[kind].values():
                yield event(told, item, at=max(item["created"], self.at - 2 * HOUR))

    def page(
        self, kind: Kind, *, since: int | None, until: int | None, after: str | None, limit: int
    ) -> tuple[list[Json], bool]:
        """Return objects made in [since, until), newest first, and whether there are more."""
        self.before_page(self.asked)
        self.asked += 1
        kept = self.kept[kind]
        made = self._sorted.get(kind)
        if made is None:
            made = self._sorted[kind] = sorted((-item["created"], ref) for ref, item in kept.items())
        begin = bisect_left(made, (-until + 1, "")) if until is not None else 0
        end = bisect_left(made, (-since + 1, "")) if since is not None else len(made)
        if after is not None:
            begin = bisect_left(made, (-kept[after]["created"], after)) + 1
        shown = made[begin : min(begin + limit, end)]
        return [kept[ref] for _, ref in shown], begin + limit < end
