"""Start a checkout: place its order and write down the call that makes the page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, Invalid
from bursar.kernel.identity import tokens
from bursar.money import calls
from bursar.money.catalog.offers import Offer, offers
from bursar.money.customers import is_named
from bursar.money.desk.orders import place_order
from bursar.money.gateways.callers import check
from bursar.money.gateways.calls import CheckoutLine, CheckoutMode, CreateCheckout, Interval
from bursar.money.gateways.facts import Claim
from bursar.money.intake.accounts import GatewayAccountNotFound


class GatewayAccountMissing(Conflict):
    """The tenant has no account of a gateway that could be asked: one that is active and has an API key."""

    code = "gateway_account_missing"


class GatewayAccountAmbiguous(Invalid):
    """The tenant has several accounts that could be asked, and the request names none."""

    code = "gateway_account_ambiguous"


class CheckoutMixed(Invalid):
    """What is sold in one checkout has one currency, and recurs in one rhythm if it recurs; several recurring prices have gateway refs."""

    code = "checkout_mixed"


class AddressUnknown(Invalid):
    """The customer is to land on a page of ours, and nobody has told us our address."""

    code = "address_unknown"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be sold, to whom. lines: price (id or lookup key) and quantity. asks_minor: what is asked for all of them together, where
    that is not their prices: a discount of ours, a tax on top, a deposit. takes_codes: whether the gateway may ask for a code of its own that lessens it. account_id: None: the only one there is.

    email: prefills the page of a customer whom nobody knows yet. trial_end: a subscription's.
    success_url: None: a page of ours, below `base_url`. link: what opens that page, where somebody has made it already.
    """

    lines: Sequence[tuple[str, int]]
    success_url: str | None = None
    cancel_url: str | None = None
    base_url: str = ""
    link: str | None = None
    account_id: UUID | None = None
    customer_id: UUID | None = None
    email: str | None = None
    expires_at: datetime | None = None
    trial_end: datetime | None = None
    saves_payment_method: bool = False
    asks_minor: int | None = None
    takes_codes: bool = True


@dataclass(frozen=True, slots=True)
class Started:
    """A checkout that is written down, with its order and the call that makes it."""

    checkout_id: UUID
    order_id: UUID
    call_id: UUID


@dataclass(frozen=True, slots=True)
class Ways:
    """How a tenant is paid for an order: on a page of a gateway, or at its desk."""

    by_page: bool
    at_desk: bool


_ACCOUNTS = """
select id, gateway from gateway_account
where tenant_id = $1 and is_active and api_key is not null and ($2::uuid is null or id = $2) order by id limit 2
"""

_WAYS = """
select coalesce(bool_or(api_key is not null), false) as by_page, coalesce(bool_or(gateway = 'manual'), false) as at_desk
from gateway_account where tenant_id = $1 and is_active
"""

_CUSTOMER = "select gateway_account_id, gateway_ref, email from customer where tenant_id = $1 and id = $2"

_START = """
insert into checkout (tenant_id, id, gateway_account_id, order_id, customer_id, call_id, mode, expires_at, actor, link_sha256)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""


def path_of(link: str) -> str:
    """Return where the customer of a checkout lands: the page that its link opens."""
    return f"/checkouts/{link}"


async def ways_to_pay(tx: Transaction, *, tenant_id: UUID) -> Ways:
    """Return how a tenant is paid for an order now."""
    row = await tx.fetchrow(_WAYS, tenant_id)
    return Ways(row["by_page"], row["at_desk"])


async def start(tx: Transaction, *, tenant_id: UUID, wanted: Wanted, actor: str) -> Started:
    """Write down a checkout, its order and the call that makes it. Nothing is sent before the commit.

    Raises GatewayAccountMissing, GatewayAccountAmbiguous, GatewayAccountNotFound, PriceNotFound, PriceDeleted, CustomerNotFound,
    CheckoutMixed, OperationUnsupported, AddressUnknown.
    """
    account_id, gateway_name = await _account(tx, tenant_id=tenant_id, account_id=wanted.account_id)
    checkout_id, wanted, digest = _landing(tenant_id, wanted)
    order = await place_order(
        tx,
        tenant_id=tenant_id,
        customer_id=wanted.customer_id,
        lines=wanted.lines,
        asks_minor=wanted.asks_minor,
        actor=actor,
    )
    sold = await _sold(
        tx, tenant_id=tenant_id, account_id=account_id, order_lines=[(x.price, x.quantity) for x in order.lines]
    )
    customer = await _customer(tx, tenant_id=tenant_id, account_id=account_id, wanted=wanted)
    call = _call(wanted, sold, order=ids.show(ids.ORDER, order.id), customer=customer)
    check(gateway_name, call)
    shown = ids.show(ids.CHECKOUT, checkout_id)
    call_id = await calls.ask(
        tx, tenant_id=tenant_id, account_id=account_id, call=call, subject=shown, key=f"checkout:{shown}", actor=actor
    )
    await tx.execute(
        _START,
        tenant_id,
        checkout_id,
        account_id,
        order.id,
        wanted.customer_id,
        call_id,
        call.mode.value,
        wanted.expires_at,
        actor,
        digest,
    )
    changes = {"order": ids.show(ids.ORDER, order.id), "mode": call.mode.value}
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action="checkout.started", subject=shown, changes=changes)
    return Started(checkout_id, order.id, call_id)


def _landing(tenant_id: UUID, wanted: Wanted) -> tuple[UUID, Wanted, bytes | None]:
    """Return the id of the new checkout, where its customer lands, and the hash of what opens that page if it is ours."""
    if wanted.success_url is not None:
        return ids.new(), wanted, None
    if not wanted.base_url:
        raise AddressUnknown(
            "this installation does not know its own address", hint="Pass success_url, or set BURSAR_PUBLIC_URL."
        )
    link = wanted.link or tokens.make(tenant_id, ids.new())[0]
    token = tokens.read(link)
    assert token is not None, "a link is a token of ours"
    page = f"{wanted.base_url}{path_of(link)}"
    own = replace(wanted, success_url=page, cancel_url=wanted.cancel_url or f"{page}/canceled")
    return token.id, own, token.sha256


async def _account(tx: Transaction, *, tenant_id: UUID, account_id: UUID | None) -> tuple[UUID, str]:
    found = await tx.fetch(_ACCOUNTS, tenant_id, account_id)
    if len(found) == 1:
        return UUID(int=found[0]["id"].int), str(found[0]["gateway"])
    if found:
        raise GatewayAccountAmbiguous("there are several gateway accounts", hint="Pass gateway_account.")
    if account_id is not None:
        shown = ids.show(ids.GATEWAY_ACCOUNT, account_id)
        raise GatewayAccountNotFound(
            f"there is no active gateway account {shown} with an API key", hint="Add an account with its api_key."
        )
    raise GatewayAccountMissing(
        "there is no gateway account that could be asked",
        hint='Add one with its api_key: POST /v1/gateway-accounts; or one for money at the desk: {"gateway": "manual"}.',
    )


@dataclass(frozen=True, slots=True)
class _Sold:
    """A price as this gateway can sell it, and how many."""

    offer: Offer
    quantity: int

    @property
    def is_recurring(self) -> bool:
        return self.offer.interval is not None

    @property
    def line(self) -> CheckoutLine:
        offer = self.offer
        if offer.ref:
            return CheckoutLine(price=offer.ref, quantity=self.quantity)
        return CheckoutLine(
            quantity=self.quantity,
            amount_minor=offer.amount_minor,
            currency=offer.currency,
            name=offer.name,
            interval=Interval(offer.interval) if offer.interval else None,
            interval_count=offer.interval_count,
        )


async def _sold(
    tx: Transaction, *, tenant_id: UUID, account_id: UUID, order_lines: Sequence[tuple[UUID, int]]
) -> list[_Sold]:
    """Return what is sold. Raises CheckoutMixed."""
    found = await offers(tx, tenant_id=tenant_id, account_id=account_id, price_ids=[price for price, _ in order_lines])
    sold = [_Sold(found[price], quantity) for price, quantity in order_lines]
    recurring = [each.offer for each in sold if each.is_recurring]
    if len({each.offer.currency for each in sold}) > 1:
        raise CheckoutMixed("the prices have several currencies", hint="Sell each currency in a checkout of its own.")
    if len({(each.interval, each.interval_count) for each in recurring}) > 1:
        raise CheckoutMixed("the prices recur in several rhythms", hint="Sell each rhythm in a checkout of its own.")
    if len(recurring) > 1 and not all(each.ref for each in recurring):
        # A renewal names what it is for by the gateway's prices; a subscription can name only one of ours in their place.
        raise CheckoutMixed(
            "several recurring prices, and the gateway does not know each by a name",
            hint="Add their gateway_refs, or sell each in a checkout of its own.",
        )
    return sold


@dataclass(frozen=True, slots=True)
class _Customer:
    ref: str | None = None
    email: str | None = None


async def _customer(tx: Transaction, *, tenant_id: UUID, account_id: UUID, wanted: Wanted) -> _Customer:
    """Return how the gateway knows the customer, who is known since the order was placed, or what prefills the page."""
    if wanted.customer_id is None:
        return _Customer(email=wanted.email)
    row = await tx.fetchrow(_CUSTOMER, tenant_id, wanted.customer_id)
    is_known = row["gateway_account_id"] == account_id and is_named(row["gateway_ref"])
    return _Customer(row["gateway_ref"] if is_known else None, wanted.email or row["email"])


def _call(wanted: Wanted, sold: Sequence[_Sold], *, order: str, customer: _Customer) -> CreateCheckout:
    assert wanted.success_url is not None, "a customer lands somewhere"
    recurring = [each for each in sold if each.is_recurring]
    return CreateCheckout(
        mode=CheckoutMode.subscription if recurring else CheckoutMode.payment,
        success_url=wanted.success_url,
        cancel_url=wanted.cancel_url,
        lines=_lines(wanted, sold),
        claim=_claim(recurring, order),
        customer=customer.ref,
        email=customer.email,
        expires_at=wanted.expires_at,
        trial_end=wanted.trial_end if recurring else None,
        saves_payment_method=wanted.saves_payment_method and not recurring,
        takes_codes=wanted.takes_codes,
    )


def _lines(wanted: Wanted, sold: Sequence[_Sold]) -> tuple[CheckoutLine, ...]:
    """Return what the page asks for; where that is not the prices, one line of it all, because the gateway knows no such price.

    A gateway that sells only what it knows by name refuses it, before anything is asked of it.
    """
    if wanted.asks_minor is None:
        return tuple(each.line for each in sold)
    assert wanted.asks_minor > 0, "what costs nothing needs no checkout"
    assert not any(each.is_recurring for each in sold), "what is asked otherwise is one sale"
    named = [f"{each.offer.name} × {each.quantity}" if each.quantity > 1 else each.offer.name for each in sold]
    return (CheckoutLine(amount_minor=wanted.asks_minor, currency=sold[0].offer.currency, name=", ".join(named)),)


def _claim(recurring: Sequence[_Sold], order: str) -> Claim:
    """Return what the gateway's objects will say was bought.

    A subscription lives longer than its order: where the gateway does not know its price by a name of ours, the price is named.
    """
    if len(recurring) == 1 and recurring[0].offer.ref is None:
        only = recurring[0]
        return Claim(order=order, price=ids.show(ids.PRICE, only.offer.price_id), quantity=str(only.quantity))
    return Claim(order=order)
