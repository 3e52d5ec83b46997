"""Disputes: a customer's bank takes a payment back, or asks about it; evidence decides, in words that Stripe documents.

`winning_evidence` and `losing_evidence` as `uncategorized_text` decide at once when they are submitted, and
`escalate_inquiry_evidence` turns an inquiry into a dispute. Anything else is decided for the bank when its time is over.
Source: Stripe "Testing", evidence; API reference, "Dispute".
"""

from typing import Final

from bursar.money.gateways.fields import Json
from bursar.sandbox import books, methods, shapes
from bursar.sandbox.forms import Params, merged
from bursar.sandbox.refusals import invalid
from bursar.sandbox.work import Work

DUE_AFTER_S: Final = 9 * 86_400
DECIDED_AFTER_S: Final = 60 * 86_400
TEXT_LENGTH_MAX: Final = 20_000
_OPEN: Final = ("needs_response", "warning_needs_response")
_FILES: Final = frozenset(
    [
        "cancellation_policy",
        "customer_communication",
        "customer_signature",
        "duplicate_charge_documentation",
        "receipt",
        "refund_policy",
        "service_documentation",
        "shipping_documentation",
        "uncategorized_file",
    ]
)
_TEXTS: Final = (
    *("access_activity_log", "billing_address", "cancellation_policy_disclosure", "cancellation_rebuttal"),
    *("customer_email_address", "customer_name", "customer_purchase_ip", "duplicate_charge_explanation"),
    *("duplicate_charge_id", "product_description", "refund_policy_disclosure", "refund_refusal_explanation"),
    *("service_date", "shipping_address", "shipping_carrier", "shipping_date", "shipping_tracking_number"),
    "uncategorized_text",
)


def open_for(work: Work, charged: Json) -> Json | None:
    """Let the customer's bank turn against a charge, as its test card says; None where it was given back before."""
    method = work.find("payment_method", charged["payment_method"])
    left = charged["amount_captured"] - charged["amount_refunded"]
    card = methods.card_of(method) if method else None
    if card is None or card.dispute is None or left <= 0:
        return None
    made = _new(work, charged, amount=left, reason=card.dispute, is_inquiry=card.is_inquiry)
    charged["disputed"] = True
    work.save(charged)
    if not card.is_inquiry:
        made["balance_transactions"] = [books.withdrawn(work, made)]
    work.save(made)
    work.tell("charge.dispute.created", made)
    if not card.is_inquiry:
        work.tell("charge.dispute.funds_withdrawn", made)
    work.tell("charge.updated", charged, {"disputed": False})
    work.later(made["evidence_details"]["due_by"], "dispute.overdue", made["id"])
    return made


def update(work: Work, params: Params, ref: str) -> Json:
    """POST /v1/disputes/{id}"""
    found = work.need("dispute", ref)
    if found["status"] not in _OPEN:
        raise invalid(f"This dispute's status is {found['status']}; its evidence cannot be changed.")
    if params.has("metadata"):
        found["metadata"] = merged(found["metadata"], params.mapping("metadata"))
    evidence = params.child("evidence")
    if evidence:
        found["evidence"] = found["evidence"] | _evidence(work, evidence)
        found["evidence_details"]["has_evidence"] = any(value for value in found["evidence"].values())
    work.save(found)
    if params.flag("submit", default=True):
        return _submitted(work, found)
    work.tell("charge.dispute.updated", found)
    return found


def close(work: Work, _params: Params, ref: str) -> Json:
    """POST /v1/disputes/{id}/close"""
    found = work.need("dispute", ref)
    if found["status"] not in _OPEN:
        raise invalid(f"This dispute is already closed or under review ({found['status']}).")
    return end(work, found, "warning_closed" if found["status"].startswith("warning") else "lost")


def overdue(work: Work, found: Json) -> None:
    """Decide a dispute that nobody answered."""
    if found["status"] in _OPEN:
        found["evidence_details"]["past_due"] = True
        end(work, found, "warning_closed" if found["status"].startswith("warning") else "lost")


def decide(work: Work, found: Json) -> None:
    """Decide a dispute that was answered with nothing that wins."""
    if found["status"] in ("under_review", "warning_under_review"):
        end(work, found, "warning_closed" if found["status"].startswith("warning") else "lost")


def end(work: Work, found: Json, status: str) -> Json:
    """Close a dispute. A won one gives the money back, without the fee."""
    before = found["status"]
    found |= {"status": status, "is_charge_refundable": False}
    work.forget(found["id"], "dispute.overdue", "dispute.decide")
    if status == "won":
        found["balance_transactions"] = [*found["balance_transactions"], books.reinstated(work, found)]
    work.save(found)
    work.tell("charge.dispute.closed", found, {"status": before})
    if status == "won":
        work.tell("charge.dispute.funds_reinstated", found)
    return found


def _submitted(work: Work, found: Json) -> Json:
    before = found["status"]
    said = found["evidence"]["uncategorized_text"]
    is_inquiry = before.startswith("warning")
    found["evidence_details"]["submission_count"] += 1
    if is_inquiry and said == "escalate_inquiry_evidence":
        found |= {"status": "needs_response", "is_charge_refundable": False}
        found["payment_method_details"]["card"]["case_type"] = "chargeback"
        found["balance_transactions"] = [books.withdrawn(work, found)]
        work.save(found)
        work.tell("charge.dispute.updated", found, {"status": before})
        work.tell("charge.dispute.funds_withdrawn", found)
        return found
    found["status"] = "warning_under_review" if is_inquiry else "under_review"
    work.save(found)
    work.forget(found["id"], "dispute.overdue")
    work.tell("charge.dispute.updated", found, {"status": before})
    if said in ("winning_evidence", "losing_evidence"):
        won = "warning_closed" if is_inquiry else "won" if said == "winning_evidence" else "lost"
        return end(work, found, won)
    work.later(work.now + DECIDED_AFTER_S, "dispute.decide", found["id"])
    return found


def _evidence(work: Work, given: Params) -> Json:
    """Return what was said and shown. Raises Refusal for a file that is not there, or too many words."""
    found: Json = {}
    for name in (*_TEXTS, *_FILES):
        if given.has(name):
            value = given.text(name)
            if value and name in _FILES:
                work.need("file", value, param=given.named(name))
            found[name] = value
    given.accept("enhanced_evidence")
    given.refuse_others()
    words = sum(len(value) for name, value in found.items() if value and name in _TEXTS)
    if words > TEXT_LENGTH_MAX * 10:
        raise invalid("The combined character count of all evidence fields is too large.", param="evidence")
    return found


def _new(work: Work, charged: Json, *, amount: int, reason: str, is_inquiry: bool) -> Json:
    card = {
        "brand": charged["payment_method_details"].get("card", {}).get("brand", "visa"),
        "case_type": "inquiry" if is_inquiry else "chargeback",
        "network": "visa",
        "network_reason_code": "10" if is_inquiry else "10.4" if reason == "fraudulent" else "13.1",
    }
    return shapes.new("dispute", "du", work.now) | {
        "amount": amount,
        "balance_transactions": [],
        "charge": charged["id"],
        "currency": charged["currency"],
        "enhanced_eligibility_types": [],
        "evidence": dict.fromkeys((*_TEXTS, *sorted(_FILES))) | {"enhanced_evidence": {}},
        "evidence_details": {
            "due_by": work.now + DUE_AFTER_S,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": is_inquiry,
        "payment_intent": charged["payment_intent"],
        "payment_method_details": {"card": card, "type": "card"},
        "reason": reason,
        "status": "warning_needs_response" if is_inquiry else "needs_response",
    }
