"""The gateway of the rehearsal: it takes money, gives it back, and reports both late, repeatedly, out of order, or not for hours."""

import heapq
import itertools
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.money.applying import Pending, apply_batch, translate
from bursar.money.applying.batch import Account
from bursar.money.gateways import gateway
from bursar.money.intake import queue
from bursar.money.intake.filing import Filing, file_events, lane_bucket
from bursar.operations.rehearsal.stage import PACK, Stage
from bursar.operations.studio import GATEWAY

_BATCH_MAX: Final = 4
_GRACE: Final = timedelta(days=7)
_COPIES: Final = (1, 1, 1, 2, 3)

_ASKED = """
select r.id, p.gateway_ref, r.amount_minor, r.currency from refund r join payment p on p.tenant_id = r.tenant_id and p.id = r.payment_id
where r.tenant_id = $1 and r.is_asked and r.status = 'pending' order by r.created_at, r.id
"""


@dataclass(slots=True)
class Gateway:
    """told: events on their way, by when they arrive. stored: events that wait to be applied. silent_until: it reports nothing till then."""

    stage: Stage
    told: list[tuple[float, int, dict[str, Any]]] = field(default_factory=list)
    stored: dict[UUID, Pending] = field(default_factory=dict)
    heard: set[UUID] = field(default_factory=set)
    silent_until: float = 0.0
    seen: Counter[str] = field(default_factory=Counter)
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def pay(self, *, customer: str, amount: int, metadata: dict[str, str]) -> None:
        """Take money from a customer, and report it by two kinds of events."""
        n = next(self._numbers)
        common = {"amount": amount, "currency": "eur", "customer": customer, "metadata": metadata}
        paid = {"id": f"pi_{n}", "object": "payment_intent", "status": "succeeded", "amount_received": amount}
        self._tell("payment_intent.succeeded", common | paid | {"latest_charge": f"ch_{n}"})
        charge = {"id": f"ch_{n}", "object": "charge", "status": "succeeded", "paid": True, "captured": True}
        more = {"amount_captured": amount, "amount_refunded": 0, "refunded": False, "payment_intent": f"pi_{n}"}
        self._tell("charge.succeeded", common | charge | more)

    def sell_pack(self, customer: str) -> None:
        self.pay(customer=customer, amount=PACK.amount_minor, metadata={"bursar_price": PACK.key})

    async def refund_what_was_asked(self) -> str:
        """Do the refunds that were asked for and that it has not heard of before; return how many."""
        new = [row for row in await self.stage.rows(_ASKED) if row["id"] not in self.heard]
        for row in new:
            self.heard.add(row["id"])
            ref = row["gateway_ref"]
            told = {
                "id": f"re_{ref}_{len(self.heard)}",
                "object": "refund",
                "status": "succeeded",
                "amount": row["amount_minor"],
                "currency": row["currency"].lower(),
                "payment_intent": ref,
                "charge": ref.replace("pi_", "ch_"),
                "metadata": {"bursar_refund": ids.show(ids.REFUND, row["id"])},
            }
            self._tell("refund.created", told)
        return f"{len(new)} refunds"

    def dispute(self, payment: str, amount: int, status: str, kind: str) -> None:
        """Let the customer's bank take money back, or say what came of it."""
        told = {
            "id": f"dp_{payment}",
            "object": "dispute",
            "status": status,
            "amount": amount,
            "currency": "eur",
            "reason": "general",
            "charge": payment.replace("pi_", "ch_"),
            "payment_intent": payment,
            "balance_transactions": [],
        }
        self._tell(f"charge.dispute.{kind}", told)

    @property
    def is_idle(self) -> bool:
        return not self.told and not self.stored

    async def deliver(self, *, everything: bool = False) -> str:
        """Deliver what has arrived by now, in any order, and apply it; return how many deliveries that were."""
        now = self.stage.now.timestamp()
        if now < self.silent_until and not everything:
            return "silence"
        due = []
        while self.told and (everything or self.told[0][0] <= now):
            due.append(heapq.heappop(self.told)[2])
        self.stage.random.shuffle(due)
        for start in range(0, len(due), _BATCH_MAX):
            await self._store(due[start : start + _BATCH_MAX])
            await self.apply()
        await self.apply()
        return f"{len(due)} deliveries"

    async def apply(self) -> None:
        """Apply what is stored, as a worker does, one that may die."""
        stored = list(self.stored.values())
        if not stored:
            return
        said = await self.stage.do(lambda tx: self._apply(tx, stored))
        if "died" in said:
            return
        for event in stored:
            self.stored.pop(event.id, None)

    def _tell(self, kind: str, told: dict[str, Any]) -> None:
        """Report something once or several times, at once or hours later."""
        random, now = self.stage.random, self.stage.now
        n = next(self._numbers)
        at = int(now.timestamp())
        event = {
            "id": f"evt_{n}",
            "object": "event",
            "type": kind,
            "created": at,
            "data": {"object": told | {"created": at}},
        }
        for _ in range(random.choice(_COPIES)):
            late = random.choices(
                (random.uniform(0, 120), random.uniform(0, 2_400), random.uniform(0, 36_000)), (60, 30, 10)
            )[0]
            heapq.heappush(self.told, (at + late, next(self._numbers), event))

    async def _store(self, events: list[dict[str, Any]]) -> None:
        studio = self.stage.studio
        filings = []
        for event in events:
            body = json.dumps(event).encode()
            envelope = gateway(GATEWAY).envelope(headers={}, body=body)
            filings.append(
                Filing(
                    ids.new(),
                    studio.tenant_id,
                    studio.account_id,
                    envelope.event_id,
                    envelope.type,
                    "gateway",
                    envelope.occurred_at,
                    {},
                    body,
                    None,
                )
            )
        async with self.stage.db.engine() as tx:
            filed = await file_events(tx, filings)
        for filing, each in zip(filings, filed, strict=True):
            self.seen["repeats" if each.is_duplicate else "events"] += 1
            if not each.is_duplicate:
                self.stored[filing.id] = Pending(filing.id, filing.type, "gateway", filing.occurred_at, filing.body)

    async def _apply(self, tx: Transaction, stored: list[Pending]) -> str:
        studio = self.stage.studio
        waiting = {row["event_id"] for row in await tx.fetch(_QUEUED, studio.tenant_id)}
        events = [translate(event, gateway_name=GATEWAY) for event in stored if event.id in waiting]
        if not events:
            return "nothing"
        await apply_batch(
            tx,
            account=Account(studio.tenant_id, studio.account_id, GATEWAY),
            events=events,
            registry=self.stage.registry,
            grace=_GRACE,
            now=self.stage.now,
        )
        lane = queue.Lane(lane_bucket(studio.account_id), studio.tenant_id, studio.account_id, GATEWAY)
        outcomes = {e.event.id: "ignored" if e.translation.is_ignored else "applied" for e in events}
        await queue.finish(tx, lane, outcomes=outcomes)
        return f"{len(events)} applied"


_QUEUED = "select event_id from gateway_event_queue where tenant_id = $1"
