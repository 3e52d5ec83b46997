"""The controls: ways to break Bursar on purpose, so that everyone sees that the simulation can fail.

Each must make `bursar simulate --control NAME` exit with 1. They are reached by the simulation alone: its workers are
started through `bursar.cli.sabotaged`, its database in a directory of its own; no setting of an installation leads here.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any

import asyncpg

from bursar.money.fulfilment import grants
from bursar.money.gateways.facts import Version
from bursar.money.intake import queue
from bursar.money.merging import registers


@dataclass(frozen=True, slots=True)
class Control:
    """What is broken. statements: run on the scratch database as its superuser. database: settings of its server."""

    what: str
    statements: Sequence[str] = ()
    database: dict[str, str] = field(default_factory=dict)


CONTROLS = {
    "no-dedupe": Control(
        "What was granted before is forgotten, and the database does not refuse the second grant: every event that "
        "tells of a payment grants once more. Events are applied one by one: a batch tells of a payment only once.",
        statements=("alter table fulfilment_grant drop constraint fulfilment_grant_once",),
    ),
    "last-wins": Control("The report that comes last replaces what is known, instead of the newest."),
    "no-durability": Control(
        "PostgreSQL confirms a commit before it is written down (`synchronous_commit = off`): a crash loses "
        "acknowledged events.",
        database={"synchronous_commit": "off", "wal_writer_delay": "10s", "wal_writer_flush_after": "1GB"},
    ),
}


def sabotage(name: str) -> None:
    """Break this process in the way of a control. For a worker of the simulation, before it begins."""
    match name:
        case "no-dedupe":
            vars(grants)["_recorded"] = _nothing_recorded
            vars(queue)["due_events"] = partial(_one_event, queue.due_events)
        case "last-wins":
            vars(registers)["version_of"] = _always_newer
        case _:
            return


async def prepare(admin_url: str, statements: Sequence[str]) -> None:
    """Take away what the database would refuse."""
    connection = await asyncpg.connect(admin_url)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _nothing_recorded(*_: object, **__: object) -> list[Any]:
    return []


async def _one_event(due_events: Callable[..., Awaitable[Any]], *arguments: Any, **named: Any) -> Any:
    return await due_events(*arguments, **(named | {"limit": 1}))


def _always_newer(*_: object) -> Version:
    return Version(True, datetime.now(UTC), 0)
