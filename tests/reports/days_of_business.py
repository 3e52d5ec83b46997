"""A business around the world: payments at the edges of days, on days of 23 and 25 hours, in currencies of three kinds."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from bursar.kernel import ids
from stage import Stage, charge, event, intent, refund

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")

LONG_IN_BERLIN, SHORT_IN_BERLIN = datetime(2025, 10, 26, tzinfo=BERLIN), datetime(2026, 3, 29, tzinfo=BERLIN)
LONG_IN_NEW_YORK, SHORT_IN_NEW_YORK = datetime(2025, 11, 2, tzinfo=NEW_YORK), datetime(2026, 3, 8, tzinfo=NEW_YORK)

_CURRENCIES = (("eur", 5000), ("jpy", 500), ("kwd", 12340))
_OUTCOMES: tuple[dict[str, Any], ...] = (
    {"status": "succeeded"},
    {"status": "succeeded"},
    {"status": "requires_payment_method", "last_payment_error": {"code": "card_declined"}, "amount_received": 0},
    {"status": "requires_action", "amount_received": 0},
    {"status": "processing", "amount_received": 0},
    {"status": "canceled", "amount_received": 0},
)


def moments() -> list[datetime]:
    """Instants at which days begin and end in either zone, and each hour of the days on which clocks are changed."""
    found = []
    for day in (LONG_IN_BERLIN, SHORT_IN_BERLIN, LONG_IN_NEW_YORK, SHORT_IN_NEW_YORK):
        begins, ends = day.astimezone(UTC), (day + timedelta(days=1)).astimezone(UTC)
        second = timedelta(seconds=1)
        found += [begins - second, begins, begins + second, ends - second, ends]
        found += [begins + timedelta(hours=n, minutes=7) for n in range(0, 26, 3)]
    return found


def history(seed: int = 1) -> list[dict[str, Any]]:
    """Return events of payments at these moments, with refunds and disputes, as Stripe would tell of them."""
    random = Random(seed)
    events = []
    for number, at in enumerate(moments()):
        n, made = f"{seed}{number:04d}", int(at.timestamp())
        currency, amount = _CURRENCIES[number % len(_CURRENCIES)]
        outcome = _OUTCOMES[random.randrange(len(_OUTCOMES))]
        paid = {"amount": amount, "amount_received": amount, "currency": currency, "created": made}
        started = intent(n, **paid | {"status": "requires_action", "amount_received": 0}, latest_charge=None)
        events.append(event("payment_intent.requires_action", started, at=made))
        told = intent(n, **paid | outcome)
        word = "payment_failed" if outcome["status"] == "requires_payment_method" else outcome["status"]
        events.append(event(f"payment_intent.{word}", told, at=made + 5))
        if outcome["status"] == "succeeded" and number % 2:
            events.append(event("refund.created", _refund(n, made, amount, currency, number), at=made + 3600))
        if outcome["status"] == "succeeded" and number % 3 == 0:
            taken = charge(n, amount=amount, amount_captured=amount, currency=currency, created=made)
            events.append(event("charge.succeeded", taken, at=made + 6))
            events.append(event("charge.dispute.created", _dispute(n, made, amount, currency), at=made + 9))
    return events


def _refund(n: str, made: int, amount: int, currency: str, number: int) -> dict[str, Any]:
    reason = ("duplicate", "requested_by_customer", None)[number % 3]
    status = ("succeeded", "pending", "failed")[number % 5 % 3]
    return refund(
        n,
        charge=f"ch_{n}",
        payment_intent=f"pi_{n}",
        amount=amount // 10 * 5,
        currency=currency,
        reason=reason,
        status=status,
        created=made + 3600,
    )


def _dispute(n: str, made: int, amount: int, currency: str) -> dict[str, Any]:
    return {
        "id": f"dp_{n}",
        "object": "dispute",
        "status": "lost",
        "amount": amount,
        "currency": currency,
        "charge": f"ch_{n}",
        "payment_intent": f"pi_{n}",
        "created": made + 9,
    }


async def second_account(stage: Stage, *, gateway: str, name: str) -> Stage:
    """Give a business another account of a gateway, and return the stage on which it is told of."""
    other = replace(stage, account_id=ids.new())
    async with stage.db.tenant(stage.tenant_id) as tx:
        await tx.execute(
            "insert into gateway_account (tenant_id, id, gateway, name, signing_secrets) values ($1, $2, $3, $4, '{}')",
            stage.tenant_id,
            other.account_id,
            gateway,
            name,
        )
    return other
