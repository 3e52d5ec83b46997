"""Differences of every class, planted between a gateway and what was told of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from outside import DAY, HOUR, REPORTED, Outside

from bursar.money.gateways.calls import Kind
from stage import Stage, event

Json = dict[str, Any]
Difference = tuple[str, str, str, str]
"""Kind, id, class, and the state after it was dealt with."""

_BOOKED = """
insert into balance_transaction (tenant_id, gateway_account_id, ref, kind, source_ref, amount_minor, fee_minor, net_minor, currency,
  is_available, available_at, created_at)
values ($1, $2, $3, 'charge', $4, 5000, $5::bigint, 5000 - $5::bigint, $6, true, to_timestamp($7), to_timestamp($7))
"""


@dataclass
class Planted:
    """What a run must find, and nothing else. untold: ids of objects of which no report was sent."""

    outside: Outside
    differences: list[Difference] = field(default_factory=list)
    untold: set[str] = field(default_factory=set)
    told_otherwise: dict[str, Json] = field(default_factory=dict)

    def reports(self) -> Iterator[Json]:
        """The reports that were sent."""
        for kind, told in REPORTED.items():
            for ref, item in self.outside.kept[kind].items():
                if ref not in self.untold:
                    said = item | self.told_otherwise.get(ref, {})
                    named = "payment_intent.processing" if said["status"] == "processing" else told
                    yield event(named, said, at=max(item["created"], self.outside.at - 2 * HOUR))

    async def plant(self, stage: Stage, *, each: int = 1) -> None:
        """Plant `each` of every difference there is, and let the business live with the rest."""
        outside = self.outside
        for n in range(each):
            self._unreported(n)
            self._reported_otherwise(n)
            self._booked_otherwise(n)
            outside.pay(f"gone{n}", made=outside.at - 3 * DAY - n)
            self._expect("payment", f"pi_gone{n}", "missing_there", "open")
        await stage.tell(*self.reports())
        for n in range(each):
            for kind, ref in ((Kind.payment, "pi"), (Kind.charge, "ch"), (Kind.balance_transaction, "txn_ch")):
                outside.lose(kind, f"{ref}_gone{n}")
            await self._booked_before(stage, n)
            outside.pay(f"young{n}", made=outside.at - 60)
            self._expect("payment", f"pi_young{n}", "timing", "waiting")

    def _unreported(self, n: int) -> None:
        outside = self.outside
        outside.pay(f"here{n}", made=outside.at - 4 * DAY - n)
        outside.pay(f"back{n}", made=outside.at - 40 * DAY - n)
        outside.refund(f"back{n}", made=outside.at - 3 * DAY - n)
        outside.dispute(f"here{n}", made=outside.at - 90 * DAY - n)
        outside.subscribe(f"here{n}", made=outside.at - 300 * DAY - n)
        for kind, ref in (
            ("payment", f"pi_here{n}"),
            ("refund", f"re_back{n}"),
            ("dispute", f"dp_here{n}"),
            ("subscription", f"sub_here{n}"),
        ):
            self.untold.add(ref)
            self._expect(kind, ref, "missing_here", "repaired")

    def _reported_otherwise(self, n: int) -> None:
        outside = self.outside
        for name, difference, said in (
            ("amount", "amount", {"amount": 4000, "amount_received": 4000}),
            ("currency", "currency", {"currency": "usd"}),
            ("status", "status", {"status": "processing"}),
        ):
            outside.pay(f"{name}{n}", made=outside.at - 5 * DAY - n)
            self.told_otherwise[f"pi_{name}{n}"] = said
            self._expect("payment", f"pi_{name}{n}", difference, "repaired")
        outside.subscribe(f"late{n}", made=outside.at - 100 * DAY - n, status="past_due")
        self.told_otherwise[f"sub_late{n}"] = {"status": "active"}
        self._expect("subscription", f"sub_late{n}", "status", "repaired")
        outside.subscribe(f"final{n}", made=outside.at - 100 * DAY - n)
        self.told_otherwise[f"sub_final{n}"] = {"status": "canceled", "ended_at": outside.at - DAY}
        self._expect("subscription", f"sub_final{n}", "status", "open")

    def _booked_otherwise(self, n: int) -> None:
        outside, made = self.outside, self.outside.at - 6 * DAY - n
        for name in ("less", "sums", "paidout", "fee", "code"):
            outside.pay(f"{name}{n}", made=made)
        booked = outside.kept[Kind.balance_transaction]
        booked[f"txn_ch_less{n}"] |= {"amount": 4900, "net": 4900 - booked[f"txn_ch_less{n}"]["fee"]}
        self._expect("balance_transaction", f"txn_ch_less{n}", "amount", "open")
        booked[f"txn_ch_sums{n}"]["net"] += 1
        self._expect("balance_transaction", f"txn_ch_sums{n}", "fee", "open")
        booked[f"txn_ch_paidout{n}"]["status"] = "pending"
        self._expect("balance_transaction", f"txn_ch_paidout{n}", "timing", "open")

    async def _booked_before(self, stage: Stage, n: int) -> None:
        """Have listed bookings that the gateway has changed since, and one that it has taken out."""
        for name, fee, currency in (("fee", 11, "EUR"), ("code", 96, "CHF"), ("vanished", 96, "EUR")):
            async with stage.db.tenant(stage.tenant_id) as tx:
                await tx.execute(
                    _BOOKED,
                    stage.tenant_id,
                    stage.account_id,
                    f"txn_ch_{name}{n}",
                    f"ch_{name}{n}",
                    fee,
                    currency,
                    self.outside.at - 6 * DAY,
                )
        self._expect("balance_transaction", f"txn_ch_fee{n}", "fee", "repaired")
        self._expect("balance_transaction", f"txn_ch_code{n}", "currency", "repaired")
        self._expect("balance_transaction", f"txn_ch_vanished{n}", "missing_there", "open")

    def _expect(self, *difference: str) -> None:
        kind, ref, found, state = difference
        self.differences.append((kind, ref, found, state))

    @property
    def standing(self) -> list[Difference]:
        """What a run after the first one still finds: what could not be repaired, and what is only for now."""
        return [each for each in self.differences if each[3] in ("open", "waiting")]
