"""Where the public payloads lie, and how tests read them in place."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

_REPOSITORY = Path(__file__).resolve().parents[2]
MATERIAL = Path(os.environ.get("BURSAR_MATERIAL") or _REPOSITORY.parent / "shared" / "material")

needs_material = pytest.mark.skipif(
    not MATERIAL.is_dir(), reason=f"public payloads are absent: no folder {MATERIAL} (set BURSAR_MATERIAL)"
)

# The pay gem's files hold an event's `data` only; this is the type each one was sent with.
_PAY_TYPES = {
    "subscription.created": "customer.subscription.created",
    "subscription.deleted": "customer.subscription.deleted",
    "subscription.updated": "customer.subscription.updated",
    "subscription.trial_ended": "customer.subscription.updated",
    "subscription.trial_will_end": "customer.subscription.trial_will_end",
    "invoice": "invoice.paid",
    "invoice.updated": "invoice_payment.paid",  # the file holds an invoice_payment, whatever it is called
    "payment_methods__link": "payment_method.attached",
}


def read(path: str) -> Any:
    return json.loads((MATERIAL / path).read_text("utf-8"))


def stripe_events() -> list[tuple[str, dict[str, Any]]]:
    """Return every Stripe event of the material with its name; bare objects are put into an envelope."""
    found = []
    for path in sorted((MATERIAL / "stripe" / "events").rglob("*.json")):
        body = json.loads(path.read_text("utf-8"))
        if "type" not in body or "data" not in body:
            data = body if isinstance(body.get("object"), dict) else {"object": body}
            kind = _PAY_TYPES.get(path.stem, path.stem)
            body = {"id": f"evt_{path.stem}", "type": kind, "created": 1_700_000_000, "data": data}
        found.append((f"{path.parent.name}/{path.name}", body))
    return found


def dodo_events() -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{path.parent.name}/{path.name}", json.loads(path.read_text("utf-8")))
        for path in sorted((MATERIAL / "dodo" / "events").rglob("*.json"))
    ]
