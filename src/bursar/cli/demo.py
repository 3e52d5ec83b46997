"""`bursar demo`: a studio with customers, for whoever wants to see Bursar at work. `bursar up` starts it."""

import asyncio
import contextlib
import signal
from datetime import UTC, datetime

import uvloop

from bursar.bootstrap import registry
from bursar.cli.acting import public_base
from bursar.cli.connection import instance
from bursar.cli.lifetime import end_orderly, follow_supervisor
from bursar.cli.options import Data, Json, answer, tell
from bursar.kernel import ids
from bursar.kernel.db import Database
from bursar.kernel.errors import Forbidden
from bursar.kernel.seal import Seal
from bursar.kernel.settings import Settings
from bursar.operations import sandbox_account
from bursar.operations.demo import ACTOR, NAME, Demo, Stream, data_file, seed
from bursar.operations.studio_life import Life
from bursar.web.tickets import make_ticket


class DemoNotForProduction(Forbidden):
    """The demo's money is not real."""

    code = "demo_not_for_production"


def demo(data: Data = None, *, as_json: Json = False) -> None:
    """Open the demo business, unless there are real ones, and let its customers come in until SIGTERM or Ctrl-C."""
    follow_supervisor()
    end_orderly()
    with instance(data) as settings:
        if settings.production:
            raise DemoNotForProduction(
                "this installation is for real money", hint="Unset BURSAR_PRODUCTION for a demo."
            )
        complete = settings.model_copy(update={"public_url": public_base(settings)})
        uvloop.run(_run(complete, as_json=as_json))


async def _run(settings: Settings, *, as_json: bool) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    db = await Database.open(settings.database_url, size=2)
    try:
        seal, now = Seal(settings.secret_key), datetime.now(UTC)
        found = await seed(db, seal=seal, settings=settings, registry=registry(), now=now)
        if found is not None:
            await sandbox_account.connect(
                db, tenant_id=found.tenant_id, seal=seal, settings=settings, actor=ACTOR, now=now
            )
    finally:
        await db.close()
    if found is None:
        tell("there are tenants here already, so the demo stays closed")
        return
    _announce(found, settings, as_json=as_json)
    stream = Stream(found, settings)
    streaming = asyncio.create_task(stream.run())
    living = asyncio.create_task(_live(Life(url=settings.public_url, api_key=found.api_key)))
    waiting = asyncio.create_task(stopping.wait())
    await asyncio.wait((streaming, waiting), return_when=asyncio.FIRST_COMPLETED)
    for task in (streaming, living, waiting):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    if stream.refused:
        tell(f"the demo ends: {stream.refused}")


async def _live(life: Life) -> None:
    if refused := await life.run():
        tell(f"the demo's studio stays as it is: {refused}")


def _announce(found: Demo, settings: Settings, *, as_json: bool) -> None:
    ticket = make_ticket(settings.secret_key, found.tenant_id, datetime.now(UTC))
    page = f"{settings.public_url}/enter?ticket={ticket}"
    told = {"demo": {"tenant": ids.show(ids.TENANT, found.tenant_id), "page": page, "file": str(data_file(settings))}}
    text = (
        f"{NAME}, a demo, is open: {page}\nThe address is good for ten minutes; the API key is in {data_file(settings)}"
    )
    answer(told, text, as_json=as_json)
