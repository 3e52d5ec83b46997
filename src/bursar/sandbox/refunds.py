"""Refunds. The sum of a charge's refunds is never more than what was captured: each is one transaction of its own."""

from bursar.money.gateways.fields import Json
from bursar.sandbox import books, methods, shapes
from bursar.sandbox.forms import Params, merged
from bursar.sandbox.refusals import invalid
from bursar.sandbox.work import Work

SETTLED_AFTER_S = 3 * 86_400
"""How long a refund is pending, or seems to have succeeded, with the test cards for that."""

_REASONS = ("duplicate", "fraudulent", "requested_by_customer")


def create(work: Work, params: Params) -> Json:
    """POST /v1/refunds"""
    charged = _charge_of(work, params)
    left = charged["amount_captured"] - charged["amount_refunded"]
    amount = params.whole("amount", left, least=1) or 0
    reason = params.text("reason", among=_REASONS)
    if left <= 0:
        raise invalid(f"Charge {charged['id']} has already been refunded.", code="charge_already_refunded")
    if amount > left:
        raise invalid(
            f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})",
            param="amount",
            code="amount_too_large",
        )
    if charged["disputed"] and not _is_refundable(work, charged):
        raise invalid(f"Charge {charged['id']} has been charged back; cannot issue a refund.", code="charge_disputed")
    made = shapes.refund(work.now, charged, amount=amount, reason=reason)
    made["metadata"] = params.mapping("metadata")
    params.accept("instructions_email", "refund_application_fee", "reverse_transfer")
    return _carried_out(work, made, charged)


def update(work: Work, params: Params, ref: str) -> Json:
    """POST /v1/refunds/{id}"""
    found = work.need("refund", ref)
    return work.change("refund.updated", found, metadata=merged(found["metadata"], params.mapping("metadata")))


def cancel(work: Work, _params: Params, ref: str) -> Json:
    """POST /v1/refunds/{id}/cancel"""
    found = work.need("refund", ref)
    if found["status"] not in ("pending", "requires_action"):
        raise invalid(f"The refund {ref} cannot be canceled; its status is {found['status']}.")
    work.forget(ref, "refund.succeed")
    return _come_back(work, found, "canceled", "merchant_request")


def succeed(work: Work, refund: Json) -> None:
    """Let a pending refund arrive."""
    details = {"card": {"reference_status": "available", "type": "refund", "reference": "1234567890"}, "type": "card"}
    entered = books.refunded(work, refund)
    work.change("refund.updated", refund, status="succeeded", balance_transaction=entered, destination_details=details)


def fail(work: Work, refund: Json) -> None:
    """Let a refund come back that seemed to have succeeded: the money is the merchant's again."""
    _come_back(work, refund, "failed", "expired_or_canceled_card")


def _carried_out(work: Work, refund: Json, charged: Json) -> Json:
    method = work.find("payment_method", refund["payment_method"])
    fate = methods.card_of(method).refund if method else "at_once"
    charged["amount_refunded"] += refund["amount"]
    charged["refunded"] = charged["amount_refunded"] == charged["amount_captured"]
    work.save(charged)
    if fate == "pending":
        refund["status"] = "pending"
        work.later(work.now + SETTLED_AFTER_S, "refund.succeed", refund["id"])
    else:
        refund["balance_transaction"] = books.refunded(work, refund)
    if fate == "fails_later":
        work.later(work.now + SETTLED_AFTER_S, "refund.fail", refund["id"])
    work.save(refund)
    work.tell("refund.created", refund)
    before = charged["amount_refunded"] - refund["amount"]
    work.tell("charge.refunded", charged, {"amount_refunded": before, "refunded": False})
    return refund


def _come_back(work: Work, refund: Json, status: str, reason: str) -> Json:
    charged = work.need("charge", refund["charge"])
    charged["amount_refunded"] -= refund["amount"]
    charged["refunded"] = False
    work.save(charged)
    if refund["balance_transaction"]:
        refund["failure_balance_transaction"] = books.returned(work, refund)
    before = refund["status"]
    refund |= {"status": status, "failure_reason": reason}
    work.save(refund)
    work.tell("refund.updated", refund, {"status": before})
    if status == "failed":
        work.tell("refund.failed", refund, {"status": before})
    work.tell("charge.refund.updated", refund, {"status": before})
    return refund


def _charge_of(work: Work, params: Params) -> Json:
    ref = params.text("charge")
    intent = params.text("payment_intent")
    if ref:
        charged = work.need("charge", ref, param="charge")
    elif intent:
        found = work.need("payment_intent", intent, param="payment_intent")
        if found["latest_charge"] is None:
            raise _not_charged(intent)
        charged = work.need("charge", found["latest_charge"])
    else:
        raise invalid("One of the following params should be provided for this request: payment_intent or charge.")
    if charged["status"] != "succeeded" or not charged["captured"]:
        raise _not_charged(intent or charged["id"])
    return charged


def _not_charged(ref: str) -> Exception:
    return invalid(f"{ref} does not have a successful charge to refund.", code="payment_intent_unexpected_state")


def _is_refundable(work: Work, charged: Json) -> bool:
    return all(dispute["is_charge_refundable"] for dispute in work.all("dispute", charge=charged["id"]))
