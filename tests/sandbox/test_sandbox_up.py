"""`bursar up` with its sandbox: somebody buys on the hosted page, and Bursar hears of it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bursar.kernel.db import Database
from bursar.kernel.ids import GATEWAY_ACCOUNT, TENANT, parse
from bursar.kernel.seal import Seal
from bursar.money.intake import accounts
from databases import begin_as_copy

WITHIN_S = 60


@pytest.fixture
def up() -> Iterator[dict[str, Any]]:
    directory = Path(tempfile.mkdtemp(prefix="bursar-sandbox-"))
    directory.chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
    begin_as_copy(directory / "data")
    command = [sys.executable, "-m", "bursar", "up", "--data", str(directory / "data"), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=clean)
    try:
        facts = json.loads(process.stdout.readline())
        process.stdout.readline()  # the demo is open
        demo = json.loads((directory / "data" / "demo.json").read_text())
        secret = (directory / "data" / "secret.key").read_text().strip()
        yield {**facts, **demo, "secret_key": secret, "data": directory / "data"}
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)
        process.stdout.close()
        shutil.rmtree(directory)


async def test_what_is_bought_on_the_hosted_page_arrives_and_survives_the_sandbox_being_killed(
    up: dict[str, Any],
) -> None:
    account = next(one for one in ask(up, "/v1/gateway-accounts") if one["base_url"])
    key = await key_of(up, account["id"])
    form = {
        "mode": "payment",
        "line_items[0][price]": "price_drop_in",
        "line_items[0][quantity]": "1",
        "success_url": "https://example.com/done",
        "metadata[bursar_price]": "drop-in",
    }
    session = call(f"{account['base_url']}/v1/checkout/sessions", form, key)

    os.kill(up["sandbox_pid"], signal.SIGKILL)
    card = {"method": "card", "number": "4242 4242 4242 4242", "expiry": "12/34", "cvc": "123"}
    landed = submit(session["url"], card | {"email": "sandbox.buyer@example.com"})

    assert landed == "https://example.com/done"
    payment = until(lambda: ask(up, "/v1/payments?status=succeeded&limit=100"), gateway_account=account["id"])
    assert (payment["amount_minor"], payment["currency"]) == (1500, "EUR")


async def key_of(up: dict[str, Any], account: str) -> str:
    db = await Database.open(up["database_url"], size=1)
    tenant_id = parse(TENANT, up["tenant"])
    async with db.tenant(tenant_id) as tx:
        _, opened = await accounts.credentials(
            tx,
            tenant_id=tenant_id,
            account_id=parse(GATEWAY_ACCOUNT, account),
            seal=Seal(up["secret_key"]),
            is_production=False,
        )
    await db.close()
    return opened.api_key


def ask(up: dict[str, Any], path: str) -> list[dict[str, Any]]:
    asking = urllib.request.Request(up["url"] + path, headers={"authorization": f"Bearer {up['api_key']}"})
    with urllib.request.urlopen(asking) as answer:
        return json.load(answer)["data"]


def call(url: str, form: dict[str, str], key: str) -> dict[str, Any]:
    asking = urllib.request.Request(
        url, data=urllib.parse.urlencode(form).encode(), headers={"authorization": f"Bearer {key}"}
    )
    with urllib.request.urlopen(asking) as answer:
        return json.load(answer)


class Landing(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def submit(url: str, form: dict[str, str]) -> str | None:
    """Send a form as a browser does, and return where it leads. The sandbox may be starting again."""
    opener = urllib.request.build_opener(Landing)
    try:
        with opener.open(url, data=urllib.parse.urlencode(form).encode(), timeout=WITHIN_S) as answer:
            return answer.geturl()
    except urllib.error.HTTPError as redirect:
        with redirect:
            return redirect.headers["location"]


def until(look: Callable[[], list[dict[str, Any]]], *, gateway_account: str) -> dict[str, Any]:
    end = time.monotonic() + WITHIN_S
    while True:
        found = [one for one in look() if one["gateway_account"] == gateway_account]
        if found:
            return found[0]
        assert time.monotonic() < end
        time.sleep(0.2)
