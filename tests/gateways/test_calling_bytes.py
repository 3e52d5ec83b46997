"""The bytes of a call are fixed when it is written down: the same in every version, and read back as they were."""

from datetime import UTC, datetime

import msgspec
import pytest

from bursar.money.gateways import calls
from bursar.money.gateways.calls import CallUnreadable, decode, encode
from bursar.money.gateways.dodo.requests import request_of as dodo_request
from bursar.money.gateways.facts import Claim

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)

# Permanent. A change here is a call that waits in somebody's database and that nobody can read any more.
GOLDEN: tuple[tuple[calls.AnyCall, bytes], ...] = (
    (
        calls.CreateCheckout(
            mode=calls.CheckoutMode.payment,
            success_url="https://shop.example/thanks",
            cancel_url="https://shop.example/cart",
            lines=(
                calls.CheckoutLine(price="price_1", quantity=2),
                calls.CheckoutLine(amount_minor=1500, currency="EUR", name="Mat"),
            ),
            claim=Claim(order="ord_1", price="pass-10", quantity="2"),
            email="ada@example.org",
            expires_at=NOON,
        ),
        (
            b'{"operation":"create_checkout","mode":"payment","success_url":"https://shop.example/thanks",'
            b'"cancel_url":"https://shop.example/cart","lines":[{"price":"price_1","quantity":2},{"amount_minor":1500,'
            b'"currency":"EUR","name":"Mat"}],"claim":{"order":"ord_1","price":"pass-10","quantity":"2"},'
            b'"email":"ada@example.org","expires_at":"2026-11-21T12:00:00Z"}'
        ),
    ),
    (
        calls.CreateCheckout(
            mode=calls.CheckoutMode.subscription,
            success_url="https://shop.example/",
            lines=(calls.CheckoutLine(amount_minor=900, currency="EUR", name="Club", interval=calls.Interval.month),),
            customer="cus_1",
        ),
        (
            b'{"operation":"create_checkout","mode":"subscription","success_url":"https://shop.example/","lines":'
            b'[{"amount_minor":900,"currency":"EUR","name":"Club","interval":"month"}],"customer":"cus_1"}'
        ),
    ),
    (
        calls.CreateCheckout(
            mode=calls.CheckoutMode.payment,
            success_url="https://shop.example/",
            lines=(calls.CheckoutLine(price="price_1"),),
            takes_codes=False,
        ),
        (
            b'{"operation":"create_checkout","mode":"payment","success_url":"https://shop.example/","lines":[{"price":"price_1"}],'
            b'"takes_codes":false}'
        ),
    ),
    (calls.ExpireCheckout(session="cs_1"), b'{"operation":"expire_checkout","session":"cs_1"}'),
    (
        calls.CreateCustomer(email="ada@example.org", name="Ada", reference="cus_ours"),
        b'{"operation":"create_customer","email":"ada@example.org","name":"Ada","reference":"cus_ours"}',
    ),
    (
        calls.CreatePayment(amount_minor=500, currency="EUR", customer="cus_1", payment_method="pm_1"),
        b'{"operation":"create_payment","amount_minor":500,"currency":"EUR","customer":"cus_1","payment_method":"pm_1"}',
    ),
    (
        calls.ConfirmPayment(payment="pi_1", return_url="https://shop.example/"),
        b'{"operation":"confirm_payment","payment":"pi_1","return_url":"https://shop.example/"}',
    ),
    (calls.CancelPayment(payment="pi_1"), b'{"operation":"cancel_payment","payment":"pi_1"}'),
    (
        calls.SetupPaymentMethod(customer="cus_1", payment_method="pm_1", return_url="https://shop.example/"),
        (
            b'{"operation":"setup_payment_method","customer":"cus_1","payment_method":"pm_1",'
            b'"return_url":"https://shop.example/"}'
        ),
    ),
    (
        calls.AttachPaymentMethod(payment_method="pm_1", customer="cus_1"),
        b'{"operation":"attach_payment_method","payment_method":"pm_1","customer":"cus_1"}',
    ),
    (
        calls.DetachPaymentMethod(payment_method="pm_1", customer="cus_1"),
        b'{"operation":"detach_payment_method","payment_method":"pm_1","customer":"cus_1"}',
    ),
    (
        calls.SetDefaultPaymentMethod(payment_method="pm_1", customer="cus_1", subscription="sub_1"),
        b'{"operation":"set_default_payment_method","payment_method":"pm_1","customer":"cus_1","subscription":"sub_1"}',
    ),
    (
        calls.CreateRefund(
            refund="re_ours",
            payment="pi_1",
            amount_minor=250,
            currency="EUR",
            reason=calls.RefundReason.requested_by_customer,
            reason_text="moved away",
        ),
        (
            b'{"operation":"create_refund","refund":"re_ours","currency":"EUR","payment":"pi_1","amount_minor":250,'
            b'"reason":"requested_by_customer","reason_text":"moved away"}'
        ),
    ),
    (
        calls.UploadFile(filename="r.pdf", content_type="application/pdf", content=b"%PDF"),
        b'{"operation":"upload_file","filename":"r.pdf","content_type":"application/pdf","content":"JVBERg=="}',
    ),
    (
        calls.SubmitEvidence(
            dispute="dp_1",
            texts={calls.EvidenceText.service_date: "1 May", calls.EvidenceText.customer_name: "Ada"},
            files={calls.EvidenceFile.receipt: "file_1"},
            is_final=False,
        ),
        (
            b'{"operation":"submit_evidence","dispute":"dp_1","texts":{"customer_name":"Ada","service_date":"1 May"},'
            b'"files":{"receipt":"file_1"},"is_final":false}'
        ),
    ),
    (calls.AcceptDispute(dispute="dp_1"), b'{"operation":"accept_dispute","dispute":"dp_1"}'),
    (
        calls.ChangeSubscription(
            subscription="sub_1", price="price_2", quantity=3, proration=calls.Proration.none, proration_at=NOON
        ),
        (
            b'{"operation":"change_subscription","subscription":"sub_1","price":"price_2","quantity":3,"proration":"none",'
            b'"proration_at":"2026-11-21T12:00:00Z"}'
        ),
    ),
    (
        calls.ChangeSubscription(subscription="sub_1", price="price_2", claim=Claim(price="price_ours", quantity="1")),
        (
            b'{"operation":"change_subscription","subscription":"sub_1","price":"price_2",'
            b'"claim":{"price":"price_ours","quantity":"1"}}'
        ),
    ),
    (
        calls.PreviewSubscriptionChange(subscription="sub_1", price="price_2", item="si_1"),
        b'{"operation":"preview_subscription_change","subscription":"sub_1","price":"price_2","item":"si_1"}',
    ),
    (calls.PauseSubscription(subscription="sub_1"), b'{"operation":"pause_subscription","subscription":"sub_1"}'),
    (calls.ResumeSubscription(subscription="sub_1"), b'{"operation":"resume_subscription","subscription":"sub_1"}'),
    (
        calls.CancelSubscriptionNow(subscription="sub_1", is_prorated=True),
        b'{"operation":"cancel_subscription_now","subscription":"sub_1","is_prorated":true}',
    ),
    (
        calls.CancelSubscriptionAtPeriodEnd(subscription="sub_1", comment="too dear"),
        b'{"operation":"cancel_subscription_at_period_end","subscription":"sub_1","comment":"too dear"}',
    ),
    (
        calls.ReactivateSubscription(subscription="sub_1"),
        b'{"operation":"reactivate_subscription","subscription":"sub_1"}',
    ),
    (
        calls.ExtendTrial(subscription="sub_1", trial_end=NOON),
        b'{"operation":"extend_trial","subscription":"sub_1","trial_end":"2026-11-21T12:00:00Z"}',
    ),
    (
        calls.CreatePortalSession(customer="cus_1", return_url="https://shop.example/"),
        b'{"operation":"create_portal_session","customer":"cus_1","return_url":"https://shop.example/"}',
    ),
)


@pytest.mark.parametrize(("call", "request_bytes"), GOLDEN, ids=[c.operation for c, _ in GOLDEN])
def test_bytes_of_a_call_never_change(call, request_bytes):
    assert encode(call) == request_bytes
    assert decode(request_bytes) == call


def test_every_operation_has_its_bytes_written_down():
    assert {type(call) for call, _ in GOLDEN} == set(calls.OPERATIONS.values())


def test_order_of_what_is_named_does_not_change_the_bytes():
    one = calls.SubmitEvidence(dispute="dp_1", texts={"service_date": "a", "customer_name": "b"})
    two = calls.SubmitEvidence(dispute="dp_1", texts={"customer_name": "b", "service_date": "a"})

    assert encode(one) == encode(two)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"",
        b"\xff",
        b"null",
        b"{}",
        b'{"operation":"print_money"}',
        b'{"operation":"accept_dispute"}',
        b'{"operation":"accept_dispute","dispute":"dp_1","gently":true}',
        b'{"operation":"submit_evidence","dispute":"dp_1","texts":{"unheard_of":"x"}}',
        b"[" * 100_000,
    ],
)
def test_bytes_of_a_newer_version_are_refused_rather_than_half_read(request_bytes):
    with pytest.raises(CallUnreadable):
        decode(request_bytes)


def test_a_seat_is_paid_at_dodo_without_dodos_own_discount_codes():
    sold = calls.CreateCheckout(
        mode=calls.CheckoutMode.payment,
        success_url="https://shop.example/",
        lines=(calls.CheckoutLine(price="prod_1"),),
    )
    seat = msgspec.structs.replace(sold, takes_codes=False)

    assert "feature_flags" not in dodo_request(sold, mark="gwc_1", known={}).params
    assert dodo_request(seat, mark="gwc_1", known={}).params["feature_flags"] == {"allow_discount_code": False}
