"""What the server says and refuses before anybody's own code runs: headers, methods, framing, files, the log's lines."""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import httpx2
import pytest

from bursar.kernel.logs import configure_logs
from bursar.kernel.settings import Settings
from bursar.web.app import create_app
from bursar.web.pages import STATIC
from serving import KEY, serving

pytestmark = pytest.mark.anyio

PATHS = (
    "/sign-in",
    "/docs",
    "/docs/reference.css",
    "/openapi.json",
    "/static/pages.css",
    "/health/live",
    "/v1/payments",
)

NOWHERE = "postgresql://nobody@127.0.0.1:1/nothing"
"""No database answers there: what is asked here needs none."""


def client_at(public_url: str, **settings: str) -> httpx2.AsyncClient:
    """Return a caller of an application without a database, which refuses what would need one."""
    app = create_app(Settings(secret_key=KEY, public_url=public_url, **settings))
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://bursar.test")


async def test_whoever_came_by_https_once_is_told_to_come_back_no_other_way():
    async with client_at("https://pay.example.test") as https, client_at("http://127.0.0.1:8420") as http:
        for path in PATHS:
            told = (await https.get(path)).headers["strict-transport-security"]
            assert told == "max-age=63072000; includeSubDomains", path
            assert "strict-transport-security" not in (await http.get(path)).headers, path


async def test_nobody_is_led_from_http_to_https_unnoticed():
    async with client_at("https://pay.example.test") as http:
        answers = {path: await http.get(path) for path in PATHS}

    assert {path: a.headers.get("location") for path, a in answers.items()} == dict.fromkeys(PATHS)


async def test_every_answer_says_what_it_is_and_texts_in_which_encoding():
    files = [f"/static/{path.relative_to(STATIC)}" for path in STATIC.rglob("*.*")]
    async with client_at("") as http:
        for path in (*PATHS, *files, "/nothing", "/metrics"):
            answer = await http.get(path)
            kind = answer.headers["content-type"]
            is_text = kind.startswith("text/") or "xml" in kind
            assert ("charset=utf-8" in kind) if is_text else kind in ("application/json", "application/problem+json"), (
                path
            )
            assert answer.headers["x-content-type-options"] == "nosniff", path


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "OPTIONS"])
async def test_methods_that_nothing_here_uses_are_refused(method):
    async with client_at("") as http:
        for path in (*PATHS, "/", "/nothing"):
            answer = await http.request(method, path, headers={"x-canary": "canary"})
            assert answer.status_code in (404, 405), (path, answer.status_code)
            assert "canary" not in answer.text
            assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize(
    "path",
    [
        "/static",
        "/static/",
        "/static/vendor",
        "/static/vendor/",
        "/static/vendor/VENDOR",
        "/static/../templating.py",
        "/static/..%2f..%2fapp.py",
        "/static/%2e%2e/%2e%2e/app.py",
        "/static//etc/passwd",
        "/.git/config",
        "/.env",
        "/pyproject.toml",
        "/data/secret.key",
    ],
)
async def test_no_directory_is_listed_and_no_other_file_is_served(path):
    async with serving(NOWHERE) as server:
        answer = await server.send(path, method="GET")

    assert (answer.status, answer.json["code"]) == (404, "not_found")


@pytest.mark.parametrize(("watchers", "status"), [("", 200), ("127.0.0.0/8", 200), ("10.0.0.0/8, ::1/128", 404)])
async def test_figures_are_for_whoever_watches_where_that_is_configured(watchers, status):
    async with client_at("", watcher_networks=watchers) as http:
        figures = await http.get("/metrics", headers={"x-forwarded-for": "10.0.0.1"})
        health = await http.get("/health")
        live = await http.get("/health/live")

    assert figures.status_code == status
    assert (health.status_code == 404) == (status == 404)
    assert live.status_code == 200


async def test_debugging_is_off_and_nothing_switches_it_on():
    app = create_app(Settings(secret_key=KEY))

    assert app.api.debug is False
    assert not [name for name in Settings.model_fields if "debug" in name]


@pytest.mark.parametrize(
    "head",
    [
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
        "content-length: 5\r\ncontent-length: 6",
        "content-length: +5",
        "content-length: 5, 5",
        "transfer-encoding: chunked, identity",
        "transfer-encoding : chunked",
        "transfer-encoding: xchunked",
    ],
)
async def test_a_message_whose_end_could_be_read_in_two_ways_is_refused_and_nothing_after_it_is_read(head):
    async with serving(NOWHERE) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        smuggled = b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n"
        writer.write(f"POST /sign-in HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n0\r\n\r\n".encode() + smuggled)
        answered = await asyncio.wait_for(reader.read(), 10)
        writer.close()

    assert answered.startswith(b"HTTP/1.1 400 "), answered[:200]
    assert answered.count(b"HTTP/1.1 ") == 1


async def test_another_protocol_is_not_taken_up():
    async with serving(NOWHERE) as server:
        answer = await server.raw(
            b"GET /live HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )

    assert answer.status == 303, "answered as any other stranger's request"
    assert answer.headers["connection"] == "close"


async def test_a_line_of_the_log_says_when_from_where_who_and_what_and_stays_one_line(capfd):
    async with serving(NOWHERE) as server:
        configure_logs()
        await server.send('/v1/x%0a{"event":"forged"}%1b[31m', method="GET")

    lines = [line for line in capfd.readouterr().err.splitlines() if "forged" in line]
    assert len(lines) == 1
    told = json.loads(lines[0])
    assert told["event"] == "request"
    assert told["path"] == '/v1/x\n{"event":"forged"}\x1b[31m'
    assert "\x1b" not in lines[0]
    assert (told["address"], told["method"], told["status"]) == ("127.0.0.1", "GET", 404)
    at = datetime.fromisoformat(told["time"])
    assert at.utcoffset() == timedelta()
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)
    assert told.keys() >= {"logger", "level", "correlation_id", "route"}
