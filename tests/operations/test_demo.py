"""The demo opens once, is found again, keeps out of real installations, and survives an API that comes and goes."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bursar.bootstrap import registry
from bursar.kernel import ids, tenancy
from bursar.kernel.seal import Seal
from bursar.kernel.settings import Settings
from bursar.money.gateways import gateway
from bursar.money.gateways.sandbox import walk_in
from bursar.operations import demo
from bursar.operations.studio import OFFERS
from databases import begin_as_copy

pytestmark = pytest.mark.anyio

KEY = "A" * 43
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
PRICES = [offer.sandbox for offer in OFFERS]


def settings_at(directory: Path, url: str = "http://127.0.0.1:1") -> Settings:
    return Settings(data=directory, public_url=url, secret_key=KEY)


async def open_demo(db, directory: Path):
    return await demo.seed(db, seal=Seal(KEY), settings=settings_at(directory), registry=registry(), now=NOW)


async def test_the_demo_opens_with_a_catalogue_and_a_private_file(db, tmp_path):
    opened = await open_demo(db, tmp_path)

    told = json.loads((tmp_path / "demo.json").read_text())
    async with db.tenant(opened.tenant_id) as tx:
        prices = await tx.fetchval("select count(*) from price")
        refs = await tx.fetchval("select count(*) from price_gateway_ref")
    assert told["tenant"] == ids.show(ids.TENANT, opened.tenant_id)
    assert told["api_key"].startswith("bsk_")
    assert told["webhook_url"].endswith(ids.show(ids.GATEWAY_ACCOUNT, opened.account_id))
    assert stat.S_IMODE((tmp_path / "demo.json").stat().st_mode) == 0o600
    assert (prices, refs) == (len(OFFERS), len(OFFERS))


async def test_the_demo_is_found_again(db, tmp_path):
    first = await open_demo(db, tmp_path)
    second = await open_demo(db, tmp_path)

    assert (second.tenant_id, second.account_id, second.api_key) == (first.tenant_id, first.account_id, first.api_key)
    assert second.signing_secret == first.signing_secret
    assert len(await tenancy.tenants(db)) == 1


async def test_a_lost_file_is_written_again_with_a_new_key(db, tmp_path):
    first = await open_demo(db, tmp_path)
    (tmp_path / "demo.json").unlink()

    second = await open_demo(db, tmp_path)

    assert (second.tenant_id, second.signing_secret) == (first.tenant_id, first.signing_secret)
    assert second.api_key != first.api_key
    assert json.loads((tmp_path / "demo.json").read_text())["api_key"] == second.api_key


async def test_an_opening_that_was_interrupted_is_finished(db, tmp_path):
    tenant_id, _ = await tenancy.create_tenant(db, name=demo.NAME)

    opened = await open_demo(db, tmp_path)

    assert opened.tenant_id == tenant_id
    async with db.tenant(tenant_id) as tx:
        assert await tx.fetchval("select count(*) from price") == len(OFFERS)


async def test_where_real_tenants_are_the_demo_stays_closed(db, tmp_path):
    await tenancy.create_tenant(db, name="A real business")

    assert await open_demo(db, tmp_path) is None
    assert len(await tenancy.tenants(db)) == 1
    assert not (tmp_path / "demo.json").exists()


def test_a_walk_in_repeats_and_every_event_translates():
    at = datetime(2026, 11, 1, tzinfo=UTC)
    for number in range(40):
        events = walk_in(number, at=at, until=at + timedelta(hours=1), prices=PRICES)

        assert events == walk_in(number, at=at, until=at + timedelta(hours=1), prices=PRICES)
        assert [event.created for event in events] == sorted(event.created for event in events)
        assert all(at <= event.created < at + timedelta(hours=1) for event in events)
        assert len({event.id for event in events}) == len(events)
        for event in events:
            gateway("sandbox").translate(type=event.type, payload=json.loads(event.body))


class Api:
    """Answers deliveries as told: statuses in turn, then 200."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.taken: list[str] = []

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                length = int(head.split("content-length: ")[1].split("\r\n")[0])
                body = json.loads(await reader.readexactly(length))
                status = self.statuses.pop(0) if self.statuses else 200
                if status == 0:
                    break
                if status == 200:
                    self.taken.append(body["id"])
                writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 2\r\n\r\n{}" % status)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()


async def stream_to(api: Api, db, tmp_path, *, monkeypatch, wanted: int) -> demo.Stream:
    monkeypatch.setattr(demo, "_RETRY_S", 0.01)
    opened = await open_demo(db, tmp_path)
    stream = demo.Stream(opened, settings_at(tmp_path, api.url))
    task = asyncio.create_task(stream.run())
    while len(api.taken) < wanted and not task.done():
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return stream


async def test_the_past_is_sent_in_order_of_time_though_the_api_stumbles(db, tmp_path, monkeypatch):
    async with Api(503, 0, 429, 200, 0, 503) as api:
        stream = await stream_to(api, db, tmp_path, monkeypatch=monkeypatch, wanted=200)

    assert len(api.taken) >= 200
    assert stream.refused is None


async def test_a_refusal_ends_the_demo_with_a_word(db, tmp_path, monkeypatch):
    async with Api(*[404] * 10) as api:
        stream = await stream_to(api, db, tmp_path, monkeypatch=monkeypatch, wanted=1)

    assert api.taken == []
    assert "404" in stream.refused


async def test_what_was_sent_is_not_sent_again_at_the_next_start(db, tmp_path):
    opened = await open_demo(db, tmp_path)
    fresh = demo.Stream(opened, settings_at(tmp_path))._story()
    demo.remember(demo.replace(opened, delivered_through=NOW), settings_at(tmp_path))

    later = demo.Stream(await open_demo(db, tmp_path), settings_at(tmp_path))._story()

    assert len(fresh) > 1000
    assert 0 < len(later) < len(fresh)
    assert min(event.created for event in later) > NOW


def test_up_opens_the_demo_and_customers_come_in():
    directory = Path(tempfile.mkdtemp(prefix="bursar-demo-"))
    directory.chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
    begin_as_copy(directory / "data")
    command = [sys.executable, "-m", "bursar", "up", "--data", str(directory / "data"), "--json"]
    up = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=clean)
    try:
        url = json.loads(up.stdout.readline())["url"]
        page = json.loads(up.stdout.readline())["demo"]["page"]
        key = json.loads((directory / "data" / "demo.json").read_text())["api_key"]
        deadline = time.monotonic() + 60
        while len(payments := ask(f"{url}/v1/payments?status=succeeded&limit=50", key)) < 50:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        with urllib.request.urlopen(page) as shown:
            assert shown.status == 200
    finally:
        up.send_signal(signal.SIGTERM)
        code = up.wait(30)
        up.stdout.close()
    assert code == 0
    assert payments[0]["currency"] == "EUR"


def ask(url: str, key: str) -> list[dict]:
    with urllib.request.urlopen(urllib.request.Request(url, headers={"authorization": f"Bearer {key}"})) as answer:
        return json.load(answer)["data"]
