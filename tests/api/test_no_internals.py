"""What went wrong inside stays inside: every refusal of every operation, searched for what a stranger must not learn."""

import inspect
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from api.operations import PREFIXES, UNKNOWN, bodies, every_operation, furnished, queries
from bursar.kernel.db import Database

pytestmark = pytest.mark.anyio

_SQL = re.compile(
    r"\bselect\b[^\"]+\bfrom\b|\binsert\s+into\b|\bupdate\b.+\bset\b|\bdelete\s+from\b|\bwhere\b.+=|\$\d|relation \"|constraint \"|SQLSTATE",
    re.IGNORECASE,
)
_FILES = re.compile(r"\.py\b|/src/|site-packages|Traceback|line \d+, in |File \"", re.IGNORECASE)
INSIDE = "select secret_sha256 from api_key where tenant_id = $1"
BROKEN = [
    RuntimeError(f"{__file__}: {INSIDE}"),
    asyncpg.UniqueViolationError(f'duplicate key value violates unique constraint "price_lookup_key_once"\n{INSIDE}'),
    asyncpg.UndefinedTableError(f'relation "nothing" does not exist: {INSIDE}'),
    asyncpg.QueryCanceledError(f"canceling statement due to statement timeout: {INSIDE}"),
    ConnectionResetError(f"[Errno 104] {INSIDE}"),
    TimeoutError(INSIDE),
]


def class_names() -> set[str]:
    """Names of our classes and of the database driver's errors that are not also words of the API's vocabulary."""
    ours = {
        name
        for module_name, module in list(sys.modules.items())
        if module_name.startswith("bursar.")
        for name, one in vars(module).items()
        if inspect.isclass(one) and one.__module__.startswith("bursar.")
    }
    theirs = {name for name in dir(asyncpg) if name.endswith("Error")} | {"KeyError", "ValueError", "RuntimeError"}
    # `RateLimit` is also the name of a header (draft-ietf-httpapi-ratelimit-headers), which hints name.
    return {name for name in ours | theirs if re.fullmatch(r"(?:[A-Z][a-z]+){2,}", name)} - {"RateLimit"}


def inside(text: str, forbidden: set[str]) -> list[str]:
    """Return what of our insides, or of the other tenant's, stands in an answer."""
    found = [match[0] for pattern in (_SQL, _FILES) for match in pattern.finditer(text)]
    return found + [word for word in forbidden if word in text]


async def theirs(caller: Any) -> set[str]:
    """What the other tenant alone knows: its ids, its key, its own words."""
    ids = await furnished(caller)
    return {*ids.values(), caller.key, str(caller.stage.tenant_id), "Theirs"}


@pytest.fixture(scope="module")
async def ready(shared_world) -> Any:
    others = await theirs(shared_world.theirs)
    mine = await furnished(shared_world.mine)
    every = await every_operation(shared_world.http)
    # A word that both tenants chose alike is no secret of the other's.
    return shared_world, mine, every, (others - set(mine.values())) | class_names()


async def test_the_search_finds_what_it_is_to_find(ready):
    """The control: the same search over what must never be sent."""
    world, _, _, forbidden = ready

    for error in BROKEN[:3]:
        assert inside(repr(error), forbidden)
    assert inside(f"it is {world.theirs.key}", forbidden) == [world.theirs.key]
    assert inside("DatabaseUnavailable", forbidden) == ["DatabaseUnavailable"]


async def test_no_refusal_of_any_operation_tells_of_our_insides(ready):
    world, mine, every, forbidden = ready
    unknown = {name: f"{prefix}_{UNKNOWN}" for name, prefix in PREFIXES.items()}
    told: dict[str, list[str]] = {}

    for operation in every:
        good, path = (bodies(mine)[operation.path] if operation.body else None), operation.at(**mine)
        send = world.mine.send
        answers = [
            await world.http.request(operation.method, path, json=good),
            await world.http.request(operation.method, path, json=good, headers={"authorization": "Bearer bsk_x"}),
            await send(
                operation.method, operation.at(**dict.fromkeys(mine, "nonsense"), **_missing(operation, mine)), good
            ),
            await send(operation.method, operation.at(**(mine | unknown)), good),
            await send(operation.method, path, good, nothing="x'; select 1 --"),
            await send(operation.method, path, {"select": "* from tenant"}),
            await send(operation.method, path, [None]),
            await send("PATCH" if operation.method != "PATCH" else "TRACE", path, good),
        ]
        refusals = [answer for answer in answers if answer.status_code >= 400]
        assert len(refusals) >= 4, operation.name
        for answer in refusals:
            assert answer.status_code < 500, (operation.name, answer.text)
            if found := inside(answer.text, forbidden):
                told.setdefault(operation.name, []).extend(found)

    assert told == {}


@pytest.mark.parametrize("error", BROKEN, ids=lambda e: type(e).__name__)
async def test_no_failure_of_ours_tells_of_our_insides(ready, monkeypatch, error):
    world, mine, every, forbidden = ready
    key = world.mine.key
    await world.mine.get("/v1/customers")  # the key is remembered for a moment: the failure is the route's own

    @asynccontextmanager
    async def broken(self: Database, tenant_id: Any) -> AsyncIterator[Any]:
        raise error
        yield

    monkeypatch.setattr(Database, "tenant", broken)
    told: dict[str, list[str]] = {}
    statuses = set()
    for operation in every:
        good = bodies(mine)[operation.path] if operation.body else None
        query = queries(mine).get(operation.path, {})
        answer = await world.mine.send(operation.method, operation.at(**mine), good, **query)
        statuses.add(answer.status_code)
        assert answer.json()["code"] in ("internal_error", "database_busy", "database_unavailable"), operation.name
        if found := inside(answer.text, forbidden | {key}):
            told[operation.name] = found

    assert told == {}
    assert statuses <= {500, 503}


def _missing(operation: Any, mine: dict[str, str]) -> dict[str, str]:
    return {name: "nonsense" for name in operation.parameters if name not in mine}
