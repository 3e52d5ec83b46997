"""A business whose gateway is listed without a wire between, and what it takes to reconcile it."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from outside import LISTED, Killed, Outside

from bursar.kernel.db import Database
from bursar.kernel.jobs import Resources
from bursar.kernel.settings import Settings
from bursar.money import calls
from bursar.money.gateways.calling import PAGE_SIZE_MAX, Answer, CallFailed, Page
from bursar.money.gateways.calls import Kind
from bursar.money.reconciliation import Reconciler, Waiting, begin_run
from serving import KEY, give_key
from stage import Stage, set_stage


@dataclass
class Listing:
    """The calling half of a gateway, as far as reconciliation uses it. fails: raised before a page is listed, once each."""

    outside: Outside
    fails: list[CallFailed] = field(default_factory=list)
    lists: frozenset[Kind] = frozenset(LISTED)
    after_page: Callable[[int], None] = lambda _: None

    async def objects(self, kind: Kind, **asked: Any) -> Page:
        if self.fails:
            raise self.fails.pop(0)
        since, until = (int(at.timestamp()) if at else None for at in (asked["since"], asked["until"]))
        shown, is_more = self.outside.page(kind, since=since, until=until, after=asked["cursor"], limit=PAGE_SIZE_MAX)
        self.after_page(self.outside.asked)
        now = datetime.now(UTC)
        answers = tuple(Answer(kind, item["id"], item, now) for item in shown)
        return Page(answers, shown[-1]["id"] if is_more else None)


@dataclass
class Scene:
    """A business, its gateway, and the way to compare them."""

    stage: Stage
    outside: Outside
    listing: Listing
    resources: Resources

    def way_out(self, callers: Callable[[str], Any] | None = None) -> calls.Outside:
        return calls.Outside(callers or (lambda _: self.listing), clock=self.resources.now)

    def reconciler(self, callers: Callable[[str], Any] | None = None) -> Reconciler:
        return Reconciler(
            surroundings=self.resources,
            outside=self.way_out(callers),
            grace=timedelta(minutes=10),
            is_production=False,
        )

    async def begin(self, **more: Any) -> UUID:
        async with self.stage.db.tenant(self.stage.tenant_id) as tx:
            return await begin_run(
                tx,
                tenant_id=self.stage.tenant_id,
                account_id=self.stage.account_id,
                lists=lambda _: self.listing.lists,
                actor="operator",
                now=datetime.now(UTC),
                **more,
            )

    async def go_on(self, run_id: UUID, callers: Callable[[str], Any] | None = None) -> None:
        reconciler = self.reconciler(callers)
        while moved := await reconciler.step(tenant_id=self.stage.tenant_id, run_id=run_id):
            if isinstance(moved, Waiting):
                assert await self.stage.apply(), moved.why

    async def until_killed(self, run_id: UUID, *, page: int) -> None:
        """Go on until a page is listed that nobody takes: the process dies between the answer and the transaction."""

        def die(_: int) -> None:
            raise Killed

        reconciler = self.reconciler()
        while (await self.run(run_id))["pages"] < page:
            await reconciler.step(tenant_id=self.stage.tenant_id, run_id=run_id)
        self.listing.after_page = die
        try:
            await reconciler.step(tenant_id=self.stage.tenant_id, run_id=run_id)
        finally:
            self.listing.after_page = lambda _: None

    async def reconcile(self, callers: Callable[[str], Any] | None = None, **more: Any) -> dict[str, Any]:
        """Run to the end, with what repairs it applied; return the run's row."""
        run_id = await self.begin(**more)
        await self.go_on(run_id, callers)
        return await self.run(run_id)

    async def run(self, run_id: UUID) -> dict[str, Any]:
        return await self.stage.row("select * from reconciliation_run where id = $1", run_id)

    async def differences(self, run_id: UUID | None = None) -> list[tuple[str, str, str, str]]:
        rows = await self.stage.rows(
            """select kind, ref, class, state from reconciliation_difference
            where $1::uuid is null or last_run_id = $1 order by kind, ref""",
            run_id,
        )
        return [tuple(row.values()) for row in rows]


@pytest.fixture
async def scene(db: Database, database_url: str) -> AsyncIterator[Scene]:
    stage = await set_stage(db, database_url)
    resources = Resources(db, Settings(database_url=database_url, secret_key=KEY))
    await give_key(stage, "sk_test_1")
    outside = Outside()
    yield Scene(stage, outside, Listing(outside), resources)
