"""Refusals: one form, a permanent code, a correlation id, and nothing of our insides."""

import json
import re

import asyncpg
import pytest

from bursar.kernel.errors import Conflict, DomainError
from bursar.kernel.http import parse_json
from bursar.kernel.http.bodies import JsonInvalid

pytestmark = pytest.mark.anyio

FIELDS = {
    "type",
    "title",
    "status",
    "detail",
    "code",
    "category",
    "errors",
    "hint",
    "context",
    "correlation_id",
    "time",
    "instance",
}


def told(answer) -> dict:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem.keys() == FIELDS
    assert problem["status"] == answer.status_code
    assert problem["correlation_id"] == answer.headers["x-correlation-id"]
    return problem


async def send(caller, body: bytes, path: str = "/v1/products", content_type: str = "application/json"):
    return await caller.http.post(path, content=body, headers=caller.headers | {"content-type": content_type})


async def test_an_unknown_path_and_a_wrong_method(world):
    nowhere = await world.http.get("/v1/nowhere")
    wrong = await world.http.put("/health/live")

    assert (told(nowhere)["code"], nowhere.status_code) == ("not_found", 404)
    assert (told(wrong)["code"], wrong.status_code, wrong.headers["allow"]) == ("method_not_allowed", 405, "GET")


async def test_fields_are_named_and_the_input_is_not_repeated(world):
    answer = await world.mine.post(
        "/v1/prices", {"product": "pay_1", "amount_minor": "secret-input", "currency": "eur", "more": 1}
    )

    problem = told(answer)
    assert (answer.status_code, problem["code"]) == (422, "invalid")
    assert {(e["field"], e["code"]) for e in problem["errors"]} == {
        ("product", "id_invalid"),
        ("amount_minor", "int_type"),
        ("currency", "string_pattern_mismatch"),
        ("more", "unknown_field"),
    }
    assert "secret-input" not in answer.text


async def test_an_id_of_another_kind_in_the_path(world):
    answer = await world.mine.get("/v1/payments/cus_01kapj5m6rfq1v5wx6h0b1a2c3")

    assert (answer.status_code, told(answer)["code"]) == (400, "id_invalid")


@pytest.mark.parametrize("cursor", ["x", "AAAA", "A" * 22 + "=", "AZxyz3k0cD2f9a0b1c2d3R", "é", "A" * 500, "\x00"])
async def test_a_cursor_that_is_not_ours(world, cursor):
    answer = await world.mine.get("/v1/payments", cursor=cursor)

    assert (answer.status_code, told(answer)["code"]) == (422, "cursor_invalid")


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "1e3", "9" * 40, ""])
async def test_a_limit_outside_its_bounds(world, limit):
    answer = await world.mine.get("/v1/payments", limit=limit)

    assert (answer.status_code, told(answer)["errors"][0]["field"]) == (422, "limit")


async def test_unknown_query_parameters_are_refused_everywhere(world):
    listed = await world.mine.get("/v1/payments", state="succeeded")
    one = await world.mine.get("/v1/payments/pay_01kapj5m6rfq1v5wx6h0b1a2c3", expand="refunds")

    assert [told(a)["errors"][0]["field"] for a in (listed, one)] == ["state", "expand"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 422, "invalid"),
        (b"{", 400, "json_invalid"),
        (b"nul", 400, "json_invalid"),
        (b"\xff\xfe", 400, "json_invalid"),
        (b'{"name": "\xc3\x28"}', 400, "json_invalid"),
        (b'\xef\xbb\xbf{"name": "x"}', 400, "json_invalid"),
        (b'{"name": NaN}', 400, "json_invalid"),
        (b'{"name": -Infinity}', 400, "json_invalid"),
        (b'{"name": 1e999}', 400, "json_invalid"),
        (b'{"name": "a", "name": "b"}', 400, "json_invalid"),
        (b'{"name": "a\\u0000b"}', 400, "json_invalid"),
        (b'{"a\\u0000": 1}', 400, "json_invalid"),
        (b'{"name": "\\ud800"}', 400, "json_invalid"),
        (b'{"name": 123456789012345678901234567890}', 400, "json_invalid"),
        (b'{"name": ' + b"9" * 5000 + b"}", 400, "json_invalid"),
        (b"[" * 100_000, 400, "json_invalid"),
        (b'{"a":' * 50 + b"1" + b"}" * 50, 400, "json_invalid"),
        (b'{"name": "' + b"x" * 1_048_576 + b'"}', 413, "body_too_large"),
        (b"[]", 422, "invalid"),
        (b'"x"', 422, "invalid"),
        (b"null", 422, "invalid"),
        (b'{"name": "a\\nb"}', 422, "invalid"),
        (b'{"name": "   "}', 422, "invalid"),
        (b'{"name": "' + b"x" * 201 + b'"}', 422, "invalid"),
    ],
)
async def test_a_body_that_not_everybody_reads_alike_is_refused(world, body, status, code):
    before = len(await world.mine.data("/v1/products"))

    answer = await send(world.mine, body)

    problem = told(answer)
    assert (answer.status_code, problem["code"]) == (status, code)
    assert problem["hint"] or status == 413
    assert len(await world.mine.data("/v1/products")) == before


async def test_a_body_that_is_not_declared_as_json_is_refused(world):
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""):
        answer = await send(world.mine, b'{"name": "x"}', content_type=content_type)
        assert (answer.status_code, told(answer)["code"]) == (415, "media_type_unsupported")
    assert (await send(world.mine, b'{"name": "x"}', content_type="Application/JSON; charset=utf-8")).status_code == 201


@pytest.mark.parametrize("text", ["1", "[1, 2.5, true, null]", '{"a": {"b": []}}', '"\\ud83d\\ude00"', str(2**53 - 1)])
def test_ordinary_json_is_read_as_it_is(text):
    assert parse_json(text.encode()) == json.loads(text)


def test_depth_is_bounded_exactly():
    assert parse_json(b"[" * 32 + b"]" * 32)
    with pytest.raises(JsonInvalid):
        parse_json(b"[" * 33 + b"]" * 33)


async def test_a_sane_correlation_id_is_kept_and_others_are_replaced(world):
    kept = await world.http.get("/health/live", headers={"x-correlation-id": "order-4711:retry.2"})
    other = await world.http.get("/health/live", headers={"x-request-id": "req_12345678"})
    bad = await world.http.get("/health/live", headers={"x-correlation-id": "<script>alert(1)</script>"})

    assert kept.headers["x-correlation-id"] == "order-4711:retry.2"
    assert other.headers["x-correlation-id"] == "req_12345678"
    assert re.fullmatch("[0-9a-z]{26}", bad.headers["x-correlation-id"])


async def test_a_bug_is_answered_without_our_insides_and_logged_once(world, caplog, monkeypatch):
    async def broken(*args, **kwargs):
        raise RuntimeError("secret detail of the database")

    monkeypatch.setattr("bursar.money.customers.api.customers", broken)

    answer = await world.mine.get("/v1/customers")

    assert (answer.status_code, told(answer)["code"]) == (500, "internal_error")
    assert "secret detail" not in answer.text
    failures = [r for r in caplog.records if r.levelname == "ERROR"]
    assert len(failures) == 1
    assert answer.headers["x-correlation-id"] in str(failures[0].msg)


@pytest.mark.parametrize("kind", ["QueryCanceledError", "DeadlockDetectedError", "LockNotAvailableError"])
async def test_a_busy_database_is_asked_again_later(world, monkeypatch, kind):
    async def refuse(*args, **kwargs):
        raise getattr(asyncpg, kind)("secret detail")

    monkeypatch.setattr("bursar.money.customers.api.customers", refuse)

    answer = await world.mine.get("/v1/customers")

    assert (answer.status_code, told(answer)["code"], answer.headers["retry-after"]) == (503, "database_busy", "2")
    assert "secret detail" not in answer.text


async def test_what_the_database_refuses_for_our_mistake_is_our_mistake(world, monkeypatch, caplog):
    async def refuse(*args, **kwargs):
        raise asyncpg.UniqueViolationError("Key (email)=(secret) already exists")

    monkeypatch.setattr("bursar.money.customers.api.customers", refuse)

    answer = await world.mine.get("/v1/customers")

    assert (answer.status_code, told(answer)["code"]) == (500, "internal_error")
    assert "secret" not in answer.text
    assert len([r for r in caplog.records if r.levelname == "ERROR"]) == 1


async def test_a_refusal_never_repeats_a_megabyte(world, monkeypatch):
    class Long(Conflict):
        code = "long"

    async def refuse(*args, **kwargs):
        raise Long("x" * 1_000_000)

    monkeypatch.setattr("bursar.money.customers.api.customers", refuse)

    answer = await world.mine.get("/v1/customers")

    assert (answer.status_code, told(answer)["code"]) == (409, "long")
    assert len(answer.content) < 2_000


async def test_every_answer_carries_safe_headers(world):
    for path in ("/health/live", "/v1/payments", "/docs", "/openapi.json"):
        headers = (await world.mine.get(path)).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert (await world.mine.get("/v1/payments")).headers["cache-control"] == "no-store"


def _classes(of=DomainError):
    for one in of.__subclasses__():
        yield one
        yield from _classes(one)


def test_every_code_is_written_alike_and_belongs_to_one_meaning():
    found: dict[str, set[int]] = {}
    for one in _classes():
        if one.__module__.startswith("bursar.") and "code" in vars(one):
            assert re.fullmatch("[a-z][a-z0-9_]{2,60}", one.code), one
            found.setdefault(one.code, set()).add(one.status)
    assert all(len(statuses) == 1 for statuses in found.values()), found
