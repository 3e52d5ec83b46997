"""The test cards and test bank accounts that Stripe documents, and what each does here.

Source: Stripe "Testing" (docs.stripe.com/testing): cards by brand, declines, disputes, refunds, 3-D Secure; and
"SEPA Direct Debit payments", test account numbers.
"""

from dataclasses import dataclass
from typing import Final, Literal

When = Literal["charge", "always", "attached"]


@dataclass(frozen=True, slots=True)
class Decline:
    """code, decline_code: as in a card error. message: for the customer."""

    code: str
    decline_code: str | None
    message: str


@dataclass(frozen=True, slots=True)
class TestCard:
    """What a number does.

    decline: why a charge fails. refused_at_once: it cannot even be saved, as a decline says when it is attached.
    challenge: `always`, or `unless_set_up`, or `on_session` (asked of a customer who is there, never of one who is not).
    dispute: the reason of the dispute that follows. refund: what becomes of a refund later.
    bank: it is a bank account, whose payments take days. settles: whether such a payment arrives.
    """

    number: str
    tokens: tuple[str, ...] = ()
    brand: str = "visa"
    funding: str = "credit"
    decline: Decline | None = None
    refused_at_once: bool = True
    challenge: Literal["never", "always", "unless_set_up", "on_session"] = "never"
    dispute: str | None = None
    is_inquiry: bool = False
    refund: Literal["at_once", "pending", "fails_later"] = "at_once"
    is_available_at_once: bool = False
    is_bank: bool = False
    settles: bool = True
    settles_after_s: int = 0
    meaning: str = "succeeds"

    @property
    def last4(self) -> str:
        return self.number[-4:]


def _declined(reason: str, message: str = "Your card was declined.") -> Decline:
    return Decline("card_declined", reason, message)


_FUNDS: Final = _declined("insufficient_funds", "Your card has insufficient funds.")
_GENERIC: Final = _declined("generic_decline")

CARDS: Final = (
    TestCard("4242424242424242", ("pm_card_visa", "pm_card_us", "pm_card_gb")),
    TestCard("4000056655665556", ("pm_card_visa_debit",), funding="debit"),
    TestCard("5555555555554444", ("pm_card_mastercard",), brand="mastercard"),
    TestCard("378282246310005", ("pm_card_amex",), brand="amex"),
    TestCard("6011111111111117", ("pm_card_discover",), brand="discover"),
    TestCard("4000000000000077", ("pm_card_bypassPending",), is_available_at_once=True, meaning="available at once"),
    TestCard(
        "4000000000000002",
        ("pm_card_visa_chargeDeclined", "pm_card_chargeDeclined"),
        decline=_GENERIC,
        meaning="generic decline",
    ),
    TestCard(
        "4000000000009995",
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "pm_card_chargeDeclinedInsufficientFunds"),
        decline=_FUNDS,
        meaning="insufficient funds",
    ),
    TestCard(
        "4000000000009987",
        ("pm_card_visa_chargeDeclinedLostCard", "pm_card_chargeDeclinedLostCard"),
        decline=_declined("lost_card"),
        meaning="lost card",
    ),
    TestCard(
        "4000000000009979",
        ("pm_card_visa_chargeDeclinedStolenCard", "pm_card_chargeDeclinedStolenCard"),
        decline=_declined("stolen_card"),
        meaning="stolen card",
    ),
    TestCard(
        "4000000000000069",
        ("pm_card_chargeDeclinedExpiredCard",),
        decline=Decline("expired_card", None, "Your card has expired."),
        meaning="expired card",
    ),
    TestCard(
        "4000000000000127",
        ("pm_card_chargeDeclinedIncorrectCvc",),
        decline=Decline("incorrect_cvc", None, "Your card's security code is incorrect."),
        meaning="incorrect CVC",
    ),
    TestCard(
        "4000000000000119",
        ("pm_card_chargeDeclinedProcessingError",),
        decline=Decline("processing_error", None, "An error occurred while processing your card. Try again later."),
        meaning="processing error",
    ),
    TestCard(
        "4000000000006975",
        ("pm_card_visa_chargeDeclinedVelocityLimitExceeded",),
        decline=_declined("card_velocity_exceeded"),
        meaning="too many charges",
    ),
    TestCard(
        "4000000000000341",
        ("pm_card_chargeCustomerFail",),
        decline=_GENERIC,
        refused_at_once=False,
        meaning="saved, declined when charged",
    ),
    TestCard(
        "4000002500003155",
        ("pm_card_authenticationRequiredOnSetup",),
        challenge="unless_set_up",
        meaning="3-D Secure unless set up",
    ),
    TestCard(
        "4000002760003184", ("pm_card_authenticationRequired",), challenge="always", meaning="3-D Secure every time"
    ),
    TestCard(
        "4000000000003220",
        ("pm_card_threeDSecure2Required", "pm_card_threeDSecureRequired"),
        challenge="on_session",
        meaning="3-D Secure",
    ),
    TestCard(
        "4000008260003178",
        ("pm_card_authenticationRequiredChargeDeclinedInsufficientFunds",),
        challenge="always",
        decline=_FUNDS,
        refused_at_once=False,
        meaning="3-D Secure, then insufficient funds",
    ),
    TestCard(
        "4000008400001629",
        ("pm_card_threeDSecureRequiredChargeDeclined",),
        challenge="on_session",
        decline=_GENERIC,
        refused_at_once=False,
        meaning="3-D Secure, then declined",
    ),
    TestCard(
        "4000000000000259", ("pm_card_createDispute",), dispute="fraudulent", meaning="disputed later as fraudulent"
    ),
    TestCard(
        "4000000000002685",
        ("pm_card_createDisputeProductNotReceived",),
        dispute="product_not_received",
        meaning="disputed later as not received",
    ),
    TestCard(
        "4000000000001976",
        ("pm_card_createDisputeInquiry",),
        dispute="fraudulent",
        is_inquiry=True,
        meaning="an inquiry later",
    ),
    TestCard("4000000000007726", ("pm_card_pendingRefund",), refund="pending", meaning="refunds are pending first"),
    TestCard("4000000000005126", ("pm_card_refundFail",), refund="fails_later", meaning="refunds fail later"),
    TestCard("AT611904300234573201", brand="sepa_debit", is_bank=True, meaning="bank debit that arrives"),
    TestCard(
        "AT321904300235473204",
        brand="sepa_debit",
        is_bank=True,
        settles_after_s=180,
        meaning="bank debit that arrives after three minutes",
    ),
    TestCard("AT861904300235473202", brand="sepa_debit", is_bank=True, settles=False, meaning="bank debit that fails"),
    TestCard(
        "AT051904300235473205",
        brand="sepa_debit",
        is_bank=True,
        settles=False,
        settles_after_s=180,
        meaning="bank debit that fails after three minutes",
    ),
    TestCard(
        "AT591904300235473203",
        brand="sepa_debit",
        is_bank=True,
        dispute="fraudulent",
        meaning="bank debit that arrives and is disputed",
    ),
)

BANK_DAYS_S: Final = 3 * 86_400
"""How long a bank debit takes here where Stripe's table says only `later`."""

BY_NUMBER: Final = {card.number: card for card in CARDS}
BY_TOKEN: Final = {token: card for card in CARDS for token in card.tokens}


def is_plausible(number: str) -> bool:
    """Tell whether digits can be a card's number (Luhn's check digit)."""
    if not number.isdecimal() or not number.isascii() or not 12 <= len(number) <= 19:  # noqa: PLR2004 - ISO/IEC 7812
        return False
    digits = [int(digit) for digit in reversed(number)]
    return sum(digits[::2] + [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]) % 10 == 0
