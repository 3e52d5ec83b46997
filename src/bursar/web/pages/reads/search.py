"""Find a page by any id that somebody may have in hand: ours, a gateway's, a licence key, an e-mail address."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction

QUERY_MAX = 320


@dataclass(frozen=True, slots=True)
class Found:
    """A page that answers the search. kind: of the thing; text: how it is called."""

    kind: str
    text: str
    href: str


_OF_INVOICE = """
select p.id from invoice i join payment p on p.tenant_id = i.tenant_id and p.purchase_id = i.purchase_id
where i.tenant_id = $1 and i.id = $2 order by p.superseded_by nulls first, p.id limit 1
"""

_KINDS = {
    ids.EVENT: ("event", "select id from gateway_event where tenant_id = $1 and id = $2"),
    ids.CUSTOMER: ("customer", "select id from customer where tenant_id = $1 and id = $2"),
    ids.PAYMENT: ("payment", "select id from payment where tenant_id = $1 and id = $2"),
    ids.REFUND: ("refund", "select payment_id as id from refund where tenant_id = $1 and id = $2"),
    ids.DISPUTE: ("dispute", "select payment_id as id from dispute where tenant_id = $1 and id = $2"),
    ids.PURCHASE: (
        "purchase",
        "select id from payment where tenant_id = $1 and purchase_id = $2 order by superseded_by nulls first, id limit 1",
    ),
    ids.INVOICE: ("invoice", _OF_INVOICE),
    ids.SUBSCRIPTION: ("subscription", "select id from subscription where tenant_id = $1 and id = $2"),
    ids.GRANT: ("grant", "select customer_id as id from fulfilment_grant where tenant_id = $1 and id = $2"),
    ids.LOT: ("credit lot", "select customer_id as id from credit_lot where tenant_id = $1 and id = $2"),
    ids.ENTITLEMENT: ("entitlement", "select customer_id as id from entitlement where tenant_id = $1 and id = $2"),
    ids.LICENCE: ("licence", "select customer_id as id from licence where tenant_id = $1 and id = $2"),
    ids.LEDGER_TRANSACTION: (
        "ledger transaction",
        "select event_id as id from ledger_transaction where tenant_id = $1 and id = $2",
    ),
}
"""What our own ids lead to: the row whose page shows it."""

_SHOWN_AS = {
    **dict.fromkeys((ids.GRANT, ids.LOT, ids.ENTITLEMENT, ids.LICENCE, ids.CUSTOMER), "customer"),
    **dict.fromkeys((ids.EVENT, ids.LEDGER_TRANSACTION), "event"),
    ids.SUBSCRIPTION: "subscription",
}
"""Whose page shows what an id leads to, where it is not a payment's."""

_BY_REF = """
with account as materialized (select id from gateway_account where tenant_id = $1)
(select 'payment' as kind, id, gateway_ref as text from payment where tenant_id = $1 and gateway_ref = $2 limit 5)
union all
(select 'payment', id, charge_ref from payment where tenant_id = $1 and charge_ref = $2 and gateway_ref <> $2 limit 5)
union all
(select 'customer', id, gateway_ref from customer where tenant_id = $1 and gateway_ref = $2 limit 5)
union all
(select 'customer', id, email from customer where tenant_id = $1 and email_key = lower($2) limit 20)
union all
(select 'refund', payment_id, gateway_ref from refund where tenant_id = $1 and gateway_ref = $2 limit 5)
union all
(select 'dispute', payment_id, gateway_ref from dispute where tenant_id = $1 and gateway_ref = $2 limit 5)
union all
(select 'subscription', id, gateway_ref from subscription where tenant_id = $1 and gateway_ref = $2 limit 5)
union all
(select 'licence', customer_id, key from licence where tenant_id = $1 and key = upper($2) and customer_id is not null limit 5)
union all
(select 'event', e.id, e.gateway_event_id from account a join gateway_event e
   on e.tenant_id = $1 and e.gateway_account_id = a.id and e.gateway_event_id = $2 limit 5)
union all
(select 'purchase', p.id, r.ref from account a
 join purchase_ref r on r.tenant_id = $1 and r.gateway_account_id = a.id and r.ref = any($3::text[])
 cross join lateral (select id from payment p where p.tenant_id = $1 and p.purchase_id = r.purchase_id and p.superseded_by is null
                     order by p.id limit 1) as p limit 5)
"""

_CATALOGUE = """
(select 'price' as kind, product_id from price where tenant_id = $1 and (lookup_key = $2 or id = $3) limit 5)
union all
(select 'product', id from product where tenant_id = $1 and id = $3 limit 1)
union all
(select 'price', p.product_id from gateway_account a
 join price_gateway_ref r on r.tenant_id = $1 and r.gateway_account_id = a.id and r.ref = $2
 join price p on p.tenant_id = r.tenant_id and p.id = r.price_id where a.tenant_id = $1 limit 5)
"""

_REF_KINDS = ("payment", "charge", "invoice", "session", "refund", "dispute", "invoice_payment")


async def search(tx: Transaction, *, tenant_id: UUID, query: str) -> tuple[Found, ...]:
    """Return the pages that a text leads to, the most telling first, each once."""
    text = query.strip()
    if not text or len(text) > QUERY_MAX or "\0" in text or not _is_text(text):
        return ()
    if own := await _own(tx, tenant_id=tenant_id, text=text):
        return (own,)
    refs = [f"{kind}:{text}" for kind in _REF_KINDS]
    rows = await tx.fetch(_BY_REF, tenant_id, text, refs)
    found = [Found(row["kind"], row["text"][:120], _page(row["kind"], row["id"])) for row in rows]
    by_id = next((value for prefix in (ids.PRICE, ids.PRODUCT) if (value := _parsed(prefix, text))), None)
    found += [
        Found(row["kind"], text, f"/catalog#{ids.show(ids.PRODUCT, row['product_id'])}")
        for row in await tx.fetch(_CATALOGUE, tenant_id, text, by_id)
    ]
    return _distinct(found)


async def _own(tx: Transaction, *, tenant_id: UUID, text: str) -> Found | None:
    prefix = text.partition("_")[0]
    if prefix not in _KINDS:
        return None
    value = _parsed(prefix, text)
    if value is None:
        return None
    kind, statement = _KINDS[prefix]
    row_id = await tx.fetchval(statement, tenant_id, value)
    if row_id is None:
        return None
    return Found(kind, text, _page(_SHOWN_AS.get(prefix, ""), row_id))


def _page(kind: str, row_id: UUID) -> str:
    match kind:
        case "subscription":
            return f"/subscriptions/{ids.show(ids.SUBSCRIPTION, row_id)}"
        case "customer" | "licence":
            return f"/customers/{ids.show(ids.CUSTOMER, row_id)}"
        case "event":
            return f"/events/{ids.show(ids.EVENT, row_id)}"
        case _:
            return f"/payments/{ids.show(ids.PAYMENT, row_id)}"


def _distinct(found: Sequence[Found]) -> tuple[Found, ...]:
    by_page: dict[str, Found] = {}
    for item in found:
        by_page.setdefault(item.href, item)
    return tuple(by_page.values())


def _parsed(prefix: str, text: str) -> UUID | None:
    return ids.parsed_or_none(prefix, text.lower() if text.startswith(f"{prefix}_") else text)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
