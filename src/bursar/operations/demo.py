"""The demo: a studio that opened ten weeks ago, whose past arrives at once and whose customers come in as you watch.

What it is: one tenant with a catalogue and a sandbox account, found again at the next start, and a stream of signed
events sent to the running API over HTTP, as Stripe would send them.
What it is not: part of anything real. It adds itself to an installation without tenants only, and never in production.
"""

import asyncio
import heapq
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from bursar.kernel import ids, tenancy
from bursar.kernel.db import Database
from bursar.kernel.files import read_json, write_private_json
from bursar.kernel.seal import Seal
from bursar.kernel.settings import Settings
from bursar.money.fulfilment import Registry
from bursar.money.gateways import gateway
from bursar.money.gateways.sandbox import SandboxEvent, business, walk_in
from bursar.money.intake.accounts import webhook_url
from bursar.money.intake.directory import AccountDirectory
from bursar.operations.studio import GATEWAY, OFFERS, equip
from bursar.operations.wire import NoAnswer, Wire

NAME = "Studio Lumen"
FILE = "demo.json"
ACTOR = "demo"

PAST = timedelta(days=75)
MONTHS = 6
CUSTOMERS = 60
LIVELY = timedelta(minutes=10)
"""How long walk-ins come often after a start; later they come once a minute, so that a forgotten demo stays small."""

WALK_IN_S = 7.0
WALK_IN_LATER_S = 60.0
_RETRY_S = 1.0
_SENDERS = 4
_OK = 200

_ACCOUNT = """
select id from gateway_account
where tenant_id = $1 and gateway = $2 and base_url is null and is_active
order by id limit 1
"""


@dataclass(frozen=True, slots=True)
class Demo:
    """The demo's tenant. opened_at: since when its story runs. delivered_through: what came before was sent."""

    tenant_id: UUID
    account_id: UUID
    api_key: str
    signing_secret: str
    opened_at: datetime
    delivered_through: datetime | None = None


async def seed(db: Database, *, seal: Seal, settings: Settings, registry: Registry, now: datetime) -> Demo | None:
    """Find the demo's tenant, or open it in an installation without tenants; None where real ones are.

    What a person needs of it is kept in the file `demo.json` of the data directory, readable by its owner only.
    Raises DatabaseUnavailable, SecretKeyWrong.
    """
    tenants = await tenancy.tenants(db)
    own = next((tenant for tenant in tenants if tenant.name == NAME), None)
    if own is None and tenants:
        return None
    kept = read_json(settings.data / FILE) or {}
    if own is None:
        tenant_id, api_key = await tenancy.create_tenant(db, name=NAME, actor=ACTOR)
    else:
        tenant_id = own.id
        is_known = kept.get("tenant") == ids.show(ids.TENANT, tenant_id)
        api_key = str(kept["api_key"]) if is_known else await _new_key(db, tenant_id)
    account_id, secret = await _account(db, tenant_id, seal=seal, registry=registry, now=now)
    through = kept.get("delivered_through") if kept.get("tenant") == ids.show(ids.TENANT, tenant_id) else None
    demo = Demo(
        tenant_id=tenant_id,
        account_id=account_id,
        api_key=api_key,
        signing_secret=secret,
        opened_at=own.created_at if own else now,
        delivered_through=datetime.fromisoformat(str(through)) if through else None,
    )
    remember(demo, settings)
    return demo


def remember(demo: Demo, settings: Settings) -> None:
    """Write down what a person needs of the demo."""
    through = demo.delivered_through
    told: dict[str, Any] = {
        "tenant": ids.show(ids.TENANT, demo.tenant_id),
        "name": NAME,
        "api_key": demo.api_key,
        "gateway_account": ids.show(ids.GATEWAY_ACCOUNT, demo.account_id),
        "webhook_url": webhook_url(settings.public_url, demo.account_id),
        "signing_secret": demo.signing_secret,
        "delivered_through": through.isoformat() if through else None,
    }
    settings.data.mkdir(parents=True, exist_ok=True)
    write_private_json(settings.data / FILE, told)


async def _new_key(db: Database, tenant_id: UUID) -> str:
    async with db.tenant(tenant_id) as tx:
        return await tenancy.create_key(tx, tenant_id=tenant_id, name="demo", actor=ACTOR)


async def _account(db: Database, tenant_id: UUID, *, seal: Seal, registry: Registry, now: datetime) -> tuple[UUID, str]:
    """Return the sandbox account and its secret; give the tenant one if it was opened and then interrupted."""
    async with db.tenant(tenant_id) as tx:
        account_id = await tx.fetchval(_ACCOUNT, tenant_id, GATEWAY)
        if account_id is None:
            return await equip(tx, tenant_id=tenant_id, seal=seal, registry=registry, actor=ACTOR, now=now)
    account = await AccountDirectory(db, seal).find(account_id)
    return account_id, account.secrets[0]


class Stream:
    """Sends the demo's events: the past at once, the rest as it happens, and walk-ins for whoever watches.

    refused: why it gave up, when the API would not take an event.
    """

    def __init__(self, demo: Demo, settings: Settings) -> None:
        self._demo = demo
        self._settings = settings
        self._path = f"/v1/webhooks/{ids.show(ids.GATEWAY_ACCOUNT, demo.account_id)}"
        self._prices = [offer.sandbox for offer in OFFERS]
        self._random = Random()  # noqa: S311 - nobody's secret depends on it
        self._upcoming: list[tuple[datetime, str, SandboxEvent]] = []
        self.sent = 0
        self.refused: str | None = None

    async def run(self) -> None:
        """Send until cancelled, or until the API refuses an event."""
        for event in self._story():
            heapq.heappush(self._upcoming, (event.created, event.id, event))
        await self._catch_up()
        self._remember()
        walking_in = asyncio.create_task(self._walk_in())
        try:
            with Wire(self._settings.public_url) as wire:
                while self.refused is None:
                    due = self._due()
                    if due is None:
                        await asyncio.sleep(0.25)
                    else:
                        await self._send(wire, due)
        finally:
            walking_in.cancel()
            self._remember()

    def _story(self) -> Sequence[SandboxEvent]:
        """Return the studio's story from ten weeks before it was opened, without what was sent before."""
        story = business(
            self._demo.tenant_id.int % 1_000_003,
            customers=CUSTOMERS,
            start=self._demo.opened_at - PAST,
            months=MONTHS,
            prices=self._prices,
        )
        through = self._demo.delivered_through
        return [event for event in story if through is None or event.created > through]

    async def _catch_up(self) -> None:
        """Send the past, over a few connections."""

        async def send_due() -> None:
            with Wire(self._settings.public_url) as wire:
                while self.refused is None and (event := self._due()) is not None:
                    await self._send(wire, event)

        await asyncio.gather(*(send_due() for _ in range(_SENDERS)))

    async def _walk_in(self) -> None:
        began, now = time.monotonic(), datetime.now(UTC)
        for seconds in range(0, 300, 15):
            # Some came in before we opened, so that something happens at once.
            self._welcome(now - timedelta(seconds=seconds))
        while True:
            self._welcome(datetime.now(UTC))
            is_lively = time.monotonic() - began < LIVELY.total_seconds()
            await asyncio.sleep((WALK_IN_S if is_lively else WALK_IN_LATER_S) * self._random.uniform(0.5, 1.5))

    def _welcome(self, at: datetime) -> None:
        number = self._random.randrange(2**31)
        for event in walk_in(number, at=at, until=at + timedelta(hours=1), prices=self._prices):
            heapq.heappush(self._upcoming, (event.created, event.id, event))

    def _due(self) -> SandboxEvent | None:
        if self._upcoming and self._upcoming[0][0] <= datetime.now(UTC):
            return heapq.heappop(self._upcoming)[2]
        return None

    async def _send(self, wire: Wire, event: SandboxEvent) -> None:
        """Send one event until it is taken: an API that is restarting is waited for."""
        while self.refused is None:
            headers = gateway(GATEWAY).sign(
                body=event.body, secret=self._demo.signing_secret, now=datetime.now(UTC), event_id=event.id
            )
            try:
                answer = await wire.post(self._path, headers=headers, body=event.body)
            except NoAnswer:
                await asyncio.sleep(_RETRY_S)
                continue
            if answer.status == _OK:
                self.sent += 1
                return
            if answer.status < 500 and answer.status != 429:  # noqa: PLR2004 - theirs to fix, not ours to repeat
                self.refused = f"the API answers {answer.status} to the demo's events: {answer.body}"
                return
            await asyncio.sleep(_RETRY_S)

    def _remember(self) -> None:
        if self.refused is None:
            through = datetime.now(UTC) - timedelta(seconds=5)
            remember(replace(self._demo, delivered_through=through), self._settings)


def data_file(settings: Settings) -> Path:
    """Return where the demo's key and address are kept."""
    return settings.data / FILE
