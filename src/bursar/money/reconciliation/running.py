"""Run: ask the gateway for a page, take it in one transaction, and so on; then wait for what repairs it, and end.

Nothing is held between two pages but where the run is, which the database has as well: whoever goes on after a crash
goes on there. No transaction is open while the gateway is asked.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

from bursar.kernel.circuits import Refused
from bursar.kernel.db import Database
from bursar.kernel.seal import Seal
from bursar.money.calls import Outside, Place
from bursar.money.gateways.calling import (
    Answer,
    CallFailed,
    Credentials,
    CredentialsRefused,
    GatewayRefused,
    Page,
)
from bursar.money.intake import accounts
from bursar.money.reconciliation.absent import AccountsMixedUp
from bursar.money.reconciliation.differences import close_gone, settle_reports
from bursar.money.reconciliation.models import Run
from bursar.money.reconciliation.pages import take_page, to_fetch
from bursar.money.reconciliation.runs import RunMoved, end_run, run_of

SETTLES_FOR: Final = timedelta(minutes=2)
"""How long a run waits for its repairs to be applied; what takes longer is settled by the next run."""
OPERATION: Final = "list_objects"
_SHORT_LISTS: Final = frozenset({"dodo"})
"""Gateways that list less of an object than they show when it is fetched."""
_FETCHED_AT_ONCE: Final = 5


class Surroundings(Protocol):
    """What a run works with."""

    @property
    def db(self) -> Database: ...

    @property
    def seal(self) -> Seal: ...

    @property
    def now(self) -> Callable[[], datetime]: ...


@dataclass(frozen=True, slots=True)
class Waiting:
    """Nothing can be done before then, or before something else is. why: fit to show."""

    why: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Moves runs on. grace: what was made less than that ago may be on its way."""

    surroundings: Surroundings
    outside: Outside
    grace: timedelta
    is_production: bool

    async def step(self, *, tenant_id: UUID, run_id: UUID) -> Run | Waiting | None:
        """Do the next thing of a run: a page, or a look at its repairs. None: it is over.

        Raises ReconciliationNotFound, CallFailed for what may pass.
        """
        db, now = self.surroundings.db, self.surroundings.now()
        async with db.tenant(tenant_id) as tx:
            run = await run_of(tx, tenant_id=tenant_id, run_id=run_id)
        if run.state in ("done", "failed"):
            return None
        if run.state == "settling":
            return await self._settle(run, tenant_id=tenant_id, now=now)
        try:
            page = await self._page(run, tenant_id=tenant_id)
            if isinstance(page, Waiting):
                return page
            async with db.tenant(tenant_id) as tx:
                await take_page(tx, run, tenant_id=tenant_id, page=page, now=now, grace=self.grace)
        except RunMoved:
            return run
        except (CredentialsRefused, GatewayRefused, AccountsMixedUp, accounts.GatewayKeyMissing) as refusal:
            await self.fail(tenant_id=tenant_id, run_id=run_id, why=str(refusal))
            return None
        return run

    async def fail(self, *, tenant_id: UUID, run_id: UUID, why: str) -> None:
        """End a run that cannot go on."""
        async with self.surroundings.db.tenant(tenant_id) as tx:
            await end_run(tx, tenant_id=tenant_id, run_id=run_id, now=self.surroundings.now(), error=why)

    async def _settle(self, run: Run, *, tenant_id: UUID, now: datetime) -> Waiting | None:
        assert run.listed_at is not None
        async with self.surroundings.db.tenant(tenant_id) as tx:
            still = await settle_reports(tx, tenant_id=tenant_id, account_id=run.account_id, now=now)
            if still and now < run.listed_at + SETTLES_FOR:
                return Waiting(f"{still} repairs are being applied")
            await close_gone(tx, run, tenant_id=tenant_id, now=now)
            await end_run(tx, tenant_id=tenant_id, run_id=run.id, now=now)
        return None

    async def _page(self, run: Run, *, tenant_id: UUID) -> Page | Waiting:
        surroundings = self.surroundings
        async with surroundings.db.tenant(tenant_id) as tx:
            name, credentials = await accounts.credentials(
                tx,
                tenant_id=tenant_id,
                account_id=run.account_id,
                seal=surroundings.seal,
                is_production=self.is_production,
            )
        place = Place(tenant_id, run.account_id, OPERATION)
        leave = await self.outside.leave(surroundings.db, place)
        if isinstance(leave, Refused):
            return Waiting("the circuit is open", leave.until)
        failure: CallFailed | None = None
        try:
            page = await self.outside.caller_of(name).objects(
                run.kind, credentials=credentials, since=run.since, until=run.until, cursor=run.cursor
            )
            if name in _SHORT_LISTS:
                page = await self._whole(run, page, tenant_id=tenant_id, name=name, credentials=credentials)
        except CallFailed as error:
            failure = error
        await self.outside.heard(surroundings.db, leave, failure, place)
        if failure is not None:
            raise failure
        return page

    async def _whole(self, run: Run, page: Page, *, tenant_id: UUID, name: str, credentials: Credentials) -> Page:
        """Return a page in which what differs is as it is fetched, because the list shows less of it."""
        async with self.surroundings.db.tenant(tenant_id) as tx:
            wanted = await to_fetch(tx, run, tenant_id=tenant_id, page=page)
        whole: dict[str, Answer] = {}
        for begin in range(0, len(wanted), _FETCHED_AT_ONCE):
            some = wanted[begin : begin + _FETCHED_AT_ONCE]
            fetches = (
                self.outside.caller_of(name).fetch(each.kind, each.ref, credentials=credentials) for each in some
            )
            whole |= {each.ref: each for each in await asyncio.gather(*fetches) if each is not None}
        return replace(page, answers=tuple(whole.get(each.ref, each) for each in page.answers))
