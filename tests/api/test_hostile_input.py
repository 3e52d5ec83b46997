"""Bad input, made from the API's own description: every field of every route gets what it does not take.

The answer is always 4xx with a problem document, and nothing is written.
"""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from api.operations import UNKNOWN, Operation, bodies, every_operation, furnished

pytestmark = pytest.mark.anyio

# Wrong whatever the field takes: each is tried in the place of every value of every good body.
HOSTILE: list[Any] = [
    "a\x00b",
    "\ud800",
    "x" * 100_000,
    -(2**53),
    2**53,
    10**29,
    -1,
    1.5,
    float("nan"),
    float("inf"),
    [],
    {},
    [[]],
    {"$ne": None},
    "pur_" + UNKNOWN,
    "ten_" + UNKNOWN,
    "'; drop table payment; --",
    "../../etc/passwd",
    "{{7*7}}",
    "\u202e\u0000",
    "2026-13-45T99:99:99Z",
    "",
    "   ",
    "\n",
]

IN_A_QUERY = [
    "\x00",
    "a\x00b",
    "x" * 10_000,
    "-1",
    "99999999999999999999",
    "NaN",
    "[]",
    "pur_" + UNKNOWN,
    "' or 1=1 --",
    "%",
]
IN_A_PATH = [
    "%00",
    "a%00b",
    "x" * 3_000,
    "..%2f..",
    "%ff%fe",
    "-1",
    "'%20or%201=1",
    "pur_" + UNKNOWN,
    "gwa_",
    "%20",
    "%E2%80%AE",
]
NAMES = {"-1", "'%20or%201=1", "pur_" + UNKNOWN, "gwa_"}
"""What is a good name of a pool of credits, odd as it is: a business names them as it likes."""


async def alone(world):
    """One furnished tenant, its ids, and every operation."""
    return world.mine, await furnished(world.mine), await every_operation(world.http)


@pytest.fixture(scope="module")
async def lone(shared_world):
    """What is refused changes nothing, so the tests share it."""
    return await alone(shared_world)


async def rows(caller) -> dict[str, int]:
    """Count what is written, but for what tells that something was tried."""
    tables = await caller.stage.rows(
        """select table_name as name from information_schema.columns
        where table_schema = 'public' and column_name = 'tenant_id'
          and table_name not in ('worker_bucket', 'api_key', 'security_event')"""
    )
    told = {"audit_record": "where action <> 'id.not_found'"}
    return {
        t["name"]: await caller.stage.value(f"select count(*) from {t['name']} {told.get(t['name'], '')}")
        for t in tables
    }


def assert_refused(answer, told: str) -> None:
    assert 400 <= answer.status_code < 500, f"{told}: {answer.status_code} {answer.text[:500]}"
    assert answer.headers["content-type"] == "application/problem+json", told
    assert answer.json()["code"], told


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a body, the whole of it first."""
    yield path
    if isinstance(value, dict):
        for name in value:
            yield from places(value[name], (*path, name))
    elif isinstance(value, list):
        for index in range(len(value)):
            yield from places(value[index], (*path, index))


def replaced(body: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    changed = copy.deepcopy(body)
    inner = changed
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return changed


async def send(caller, operation: Operation, mine: dict[str, str], body: Any):
    content = json.dumps(body).encode("utf-8", "surrogatepass")
    headers = caller.headers | {"content-type": "application/json"}
    return await caller.http.request(operation.method, operation.at(**mine), content=content, headers=headers)


OPTIONAL = ("authorized_parties", "roles_claim", "role_map", "default_roles")
CLAIMS = ("audience", "subject_claim", "email_claim", "name_claim")


# What is good in some place after all: free texts may say almost anything.
def may_pass(path: tuple[Any, ...], value: Any) -> bool:
    name = path[-1] if path else ""
    if name == "threshold" and type(value) in (int, float) and 0 <= value <= 1e9:
        return True
    if name in (
        "signing_secrets",
        "add",
        "remove",
        "gateway_refs",
        "grants",
        "filter",
        "allowed_addresses",
        *OPTIONAL,
        "limits",
        "retentions",
        "parameters",
        "terms",
        "hours",
        "days",
        "pools",
        "levels",
        "requirements",
        "tiers",
        "venues",
        "classes",
        "templates",
        "teaches",
    ) and value in ([], {}):
        return True
    texts = (
        "name",
        "note",
        "description",
        "reason",
        "reference",
        "fingerprint",
        "lookup_key",
        "ref",
        "key",
        "pool",
        "type",
        "title",
        "about",
        "address",
        "category",
        "banned_reason",
        "override_reason",
        "level",
        "gender",
        "notes",
        "code",
        0,
        *CLAIMS,
    )
    is_text = isinstance(value, str) and "\x00" not in value and "\ud800" not in value and len(value) < 200
    if name in texts and is_text:
        return True
    return name in ("price", "email", "course", "feature", "meter") and is_text


@pytest.mark.parametrize("part", range(4))
async def test_what_a_field_does_not_take_is_refused_and_nothing_is_written(lone, part):
    caller, mine, every = lone
    taking = [operation for operation in every if operation.body][part::4]
    before = await rows(caller)
    refused = 0

    for operation in taking:
        good = bodies(mine)[operation.path]
        for path in places(good):
            for value in HOSTILE:
                if may_pass(path, value) or (not path and value == {} and operation.takes_nothing):
                    continue
                answer = await send(caller, operation, mine, replaced(good, path, value))
                told = f"{operation.name} {path} = {str(value)[:60]!r}"
                assert answer.status_code < 500, f"{told}: {answer.text[:500]}"
                if answer.status_code < 400:
                    pytest.fail(f"{told} passed: {answer.text[:300]}")
                assert_refused(answer, told)
                refused += 1

    assert refused > 100
    assert await rows(caller) == before


async def test_texts_may_say_anything_printable_and_never_break(lived_world):
    caller, mine, every = await alone(lived_world)

    for operation in every:
        if not operation.body:
            continue
        good = bodies(mine)[operation.path]
        for path in places(good):
            for value in HOSTILE:
                if may_pass(path, value):
                    answer = await send(caller, operation, mine, replaced(good, path, value))
                    assert answer.status_code < 500, f"{operation.name} {path} = {value!r}: {answer.text[:500]}"


async def test_a_field_that_is_missing_or_unknown_is_refused(lived_world):
    caller, mine, every = await alone(lived_world)
    tried = 0

    for operation in every:
        if not operation.body:
            continue
        answer = await send(caller, operation, mine, bodies(mine)[operation.path] | {"not_a_field": 1})
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "unknown_field"), operation.name
        nothing = await send(caller, operation, mine, {})
        # Where every field may be left out, the state decides.
        wanted = {200, 201, 202, 204, 409, 422} if operation.takes_nothing else {422}
        assert nothing.status_code in wanted, (operation.name, nothing.text)
        tried += 1

    assert tried > 15


async def test_bad_values_in_the_query_are_refused(lone):
    caller, mine, every = lone
    tried = 0

    for operation in every:
        for name, schema in operation.query.items():
            for value in IN_A_QUERY:
                answer = await caller.get(operation.at(**mine), **{name: value})
                told = f"{operation.name}?{name}={value[:40]!r}"
                assert answer.status_code < 500, f"{told}: {answer.text[:500]}"
                if "\x00" in value or len(value) > 1000:
                    assert_refused(answer, told)
                if answer.status_code >= 400:
                    assert_refused(answer, told)
                tried += 1
            assert schema

    assert tried > 500


async def test_bad_values_in_the_path_are_refused(lone):
    caller, mine, every = lone
    tried = 0

    for operation in every:
        for name in operation.parameters:
            for value in IN_A_PATH:
                path = operation.at(**(mine | {name: value}))
                body = bodies(mine).get(operation.path)
                answer = await caller.send(operation.method, path, body)
                if name == "pool" and value in NAMES:
                    assert answer.status_code == 200, answer.text
                    continue
                assert_refused(answer, f"{operation.name} {value!r}")
                tried += 1

    assert tried > 200
