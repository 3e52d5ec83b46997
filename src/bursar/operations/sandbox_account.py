"""The demo's account at the sandbox: with an API key, so that customers can buy, be refunded and change their minds.

What it is: one gateway account with the address of the running sandbox, found again at the next start, whose prices the
sandbox knows by the same names; and the sandbox told where to deliver.
What it is not: the account of the demo's story, whose events nobody can be asked about.
"""

import asyncio
import json
import secrets
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bursar.kernel.db import Database, Transaction
from bursar.kernel.files import read_json
from bursar.kernel.seal import Seal
from bursar.kernel.settings import Settings
from bursar.money.catalog import selling
from bursar.money.gateways.sandbox.billing_objects import price
from bursar.money.intake import accounts
from bursar.money.intake.directory import signing_purpose
from bursar.operations.studio import GATEWAY, OFFERS, Offer
from bursar.operations.wire import NoAnswer, Wire

NAME: Final = "Sandbox"
_ATTEMPTS: Final = 20
_RETRY_S: Final = 0.5
_TOLERANCE_S: Final = 300
_OK: Final = 200

_FOUND = """
select id, signing_secrets, api_key, base_url from gateway_account
where tenant_id = $1 and gateway = $2 and base_url is not null and is_active
order by id limit 1
"""
_MOVE = "update gateway_account set base_url = $3 where tenant_id = $1 and id = $2"
_PRICES = "select id, lookup_key from price where tenant_id = $1 and lookup_key = any($2)"


async def connect(
    db: Database, *, tenant_id: UUID, seal: Seal, settings: Settings, actor: str, now: datetime
) -> UUID | None:
    """Give a tenant an account at the running sandbox, and tell the sandbox of it; None where no sandbox answers."""
    running = read_json(settings.data / "sandbox" / "sandbox.json")
    if running is None:
        return None
    async with db.tenant(tenant_id) as tx:
        account_id, secret, key = await _account(
            tx, tenant_id=tenant_id, url=str(running["url"]), seal=seal, actor=actor, now=now
        )
    deliver_to = accounts.webhook_url(settings.public_url, account_id)
    told = (
        ("objects", {"key": key, "objects": [made for offer in OFFERS for made in _objects(offer)]}),
        ("accounts", {"key": key, "deliver_to": deliver_to, "secret": secret}),
    )
    for name, body in told:
        if not await _tell(str(running["url"]), str(running["token"]), name, body):
            return None
    return account_id


async def _account(
    tx: Transaction, *, tenant_id: UUID, url: str, seal: Seal, actor: str, now: datetime
) -> tuple[UUID, str, str]:
    """Return the account's id, signing secret and API key; its address follows the sandbox's port."""
    row = await tx.fetchrow(_FOUND, tenant_id, GATEWAY)
    if row is not None:
        if row["base_url"] != url:
            await tx.execute(_MOVE, tenant_id, row["id"], url)
        secret = seal.open(row["signing_secrets"][0], purpose=signing_purpose(row["id"]))
        return row["id"], secret, seal.open(row["api_key"], purpose=accounts.api_key_purpose(row["id"]))
    secret, key = f"whsec_{secrets.token_hex(24)}", f"sk_test_{secrets.token_hex(24)}"
    account = await accounts.add_account(
        tx,
        tenant_id=tenant_id,
        gateway_name=GATEWAY,
        name=NAME,
        signing_secrets=[secret],
        api_key=key,
        tolerance_s=_TOLERANCE_S,
        base_url=url,
        seal=seal,
        actor=actor,
    )
    keys = {offer.key: offer.sandbox.ref for offer in OFFERS}
    for row in await tx.fetch(_PRICES, tenant_id, list(keys)):
        refs = [(account.id, keys[row["lookup_key"]])]
        await selling.add_gateway_refs(
            tx, tenant_id=tenant_id, price_id=row["id"], gateway_refs=refs, actor=actor, now=now
        )
    return account.id, secret, key


def _objects(offer: Offer) -> list[dict[str, Any]]:
    """Return an offer as the sandbox keeps it: a product and its price."""
    sold = price(offer.sandbox)
    product = {
        "id": sold["product"],
        "object": "product",
        "active": True,
        "created": sold["created"],
        "default_price": sold["id"],
        "description": offer.description,
        "images": [],
        "livemode": False,
        "marketing_features": [],
        "metadata": {},
        "name": offer.product,
        "type": "service",
        "updated": sold["created"],
    }
    return [product, sold]


async def _tell(url: str, token: str, name: str, body: dict[str, Any]) -> bool:
    """Tell the sandbox something, waiting a while for it to be there; return whether it listened."""
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    for _ in range(_ATTEMPTS):
        try:
            with Wire(url) as wire:
                answer = await wire.post(f"/_sandbox/{name}", headers=headers, body=json.dumps(body).encode())
        except NoAnswer:
            await asyncio.sleep(_RETRY_S)
            continue
        return answer.status == _OK
    return False
