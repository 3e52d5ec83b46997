"""The database loses its last hour: what the gateway says happened is asked of it and merged, and nothing is missing."""

import json
import shutil
import signal
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bursar.kernel.postgres.ports import free_port
from bursar.kernel.processes import send
from commanding import command
from databases import begin_as_copy
from test_up import Up, bursar, eventually

KEY = "sk_test_of_the_gap"
SECRET = "whsec_of_the_gap_of_the_tests"
CARD = "pm_card_visa"


@dataclass
class Lost:
    """What was before the disaster, and where the gateway is that lived through it."""

    root: Path
    settings: dict[str, str]
    tenant: str
    revoked: str
    backup: str
    fingerprint: dict[str, Any]


def _command(settings: dict[str, str], *arguments: str) -> dict[str, Any]:
    done = command(*arguments, "--json", **settings)
    assert done.code == 0, done.out + done.err
    return json.loads(done.out)


def _call(url: str, key: str, form: dict[str, str] | None = None) -> dict[str, Any]:
    data = urllib.parse.urlencode(form).encode() if form else None
    asking = urllib.request.Request(url, data=data, headers={"authorization": f"Bearer {key}"})
    with urllib.request.urlopen(asking, timeout=30) as answer:
        return json.load(answer)


def _buy(gateway: str, count: int) -> list[str]:
    """Have customers pay, one of them for two, and give one of them money back."""
    paid = []
    for number in range(count):
        customer = _call(f"{gateway}/v1/customers", KEY, {"email": f"gap{number}@example.com"})["id"]
        form = {
            "amount": "1500",
            "currency": "eur",
            "customer": customer,
            "payment_method": CARD,
            "confirm": "true",
            "metadata[bursar_price]": "drop-in",
            "automatic_payment_methods[enabled]": "true",
            "automatic_payment_methods[allow_redirects]": "never",
        }
        paid.append(_call(f"{gateway}/v1/payment_intents", KEY, form)["id"])
    _call(f"{gateway}/v1/refunds", KEY, {"payment_intent": paid[0], "amount": "500"})
    return paid


@pytest.fixture
def lost() -> Iterator[Lost]:
    root = Path(tempfile.mkdtemp(prefix="bursar-test-"))
    root.chmod(0o711)
    settings = {
        "BURSAR_DATA": str(root / "data"),
        "BURSAR_BACKUP_STORE": str(root / "store"),
        "BURSAR_BACKUP_KEY_FILE": str(root / "keys"),
    }
    sandbox = bursar("sandbox", "serve", "--data", str(root / "gateway"), "--port", str(free_port()), "--json")
    try:
        gateway = json.loads(sandbox.stdout.readline())["url"]
        _command(settings, "backup", "key")
        yield _disaster(root, settings, gateway)
    finally:
        sandbox.send_signal(signal.SIGKILL)
        sandbox.communicate()
        shutil.rmtree(root)


def _disaster(root: Path, settings: dict[str, str], gateway: str) -> Lost:
    # Backups are taken by hand here: the log, which would bring back all but seconds, is what is lost.
    begin_as_copy(root / "data")
    up = Up(root / "data", BURSAR_BACKUP_KEY_FILE=settings["BURSAR_BACKUP_KEY_FILE"])
    try:
        # Another business, before it in every list, whose key its gateway takes no longer.
        revoked = _command(settings, "tenant", "create", "--name", "Revoked")["id"]
        add = ("gateway", "add", "--gateway", "sandbox", "--signing-secret", SECRET, "--base-url", gateway)
        _command(settings, *add, "--tenant", revoked, "--api-key", "sk_revoked")
        made = _command(settings, "tenant", "create", "--name", "Gap")
        tenant = made["id"]
        added = _command(settings, *add, "--tenant", tenant, "--api-key", KEY)
        deliver = ("sandbox", "deliver", "--key", KEY, "--to", added["webhook_url"], "--signing-secret", SECRET)
        _command({"BURSAR_DATA": str(root / "gateway")}, *deliver)
        _price(up.facts["url"], made["api_key"])

        def succeeded() -> list[dict[str, Any]]:
            return _call(f"{up.facts['url']}/v1/payments?status=succeeded&limit=100", made["api_key"])["data"]

        _buy(gateway, 3)
        assert eventually(lambda: len(succeeded()) == 3, within_s=30)
        backup = _command(settings, "backup", "now")["backup"]
        _buy(gateway, 5)
        assert eventually(lambda: len(succeeded()) == 8, within_s=30)
        assert eventually(lambda: sum(one["refunded_minor"] for one in succeeded()) == 1000, within_s=30)
        assert eventually(lambda: _quiet(up.facts["url"]), within_s=30)
        fingerprint = _command(settings, "fingerprint", "--tenant", tenant)
    finally:
        facts = up.now
        for pid in (facts["pid"], facts["api_pid"], *facts["worker_pids"], facts["sandbox_pid"], facts["postgres_pid"]):
            send(pid, signal.SIGKILL)
        up.process.communicate()
    shutil.rmtree(root / "data")
    return Lost(root, settings, tenant, revoked, backup, fingerprint)


def _price(url: str, key: str) -> None:
    grant = {"kind": "credits", "amount": 1, "pool": "classes"}
    product = _post(f"{url}/v1/products", key, {"name": "Drop-in"})["id"]
    price = {"product": product, "lookup_key": "drop-in", "amount_minor": 1500, "currency": "EUR", "grants": [grant]}
    _post(f"{url}/v1/prices", key, price)


def _post(url: str, key: str, body: dict[str, Any]) -> dict[str, Any]:
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json", "idempotency-key": url}
    asking = urllib.request.Request(url, data=json.dumps(body).encode(), headers=headers)
    with urllib.request.urlopen(asking, timeout=30) as answer:
        return json.load(answer)


def _quiet(url: str) -> bool:
    with urllib.request.urlopen(f"{url}/health", timeout=10) as answer:
        figures = json.load(answer)["parts"]["queue"]["figures"]
    return figures["received"] == figures["failed"] == 0


def test_what_the_gateway_says_happened_since_is_merged_and_who_cannot_be_asked_holds_nobody_up(lost):
    into = lost.root / "back"
    restore = ("restore", "--to", lost.backup, "--into", str(into), "--replay-gap")

    process = bursar(*restore, "--json", **lost.settings)
    while "events listed" not in (line := process.stderr.readline()):
        assert line, process.communicate()
    process.kill()
    process.communicate()
    half_done = json.loads((into / "gap.json").read_text())["left"]
    went_on = command(*restore, "--json", **lost.settings)

    replayed = {one["tenant"]: one for one in json.loads(went_on.out)["gap"]}
    settings = lost.settings | {"BURSAR_DATA": str(into)}
    fingerprint = _command(settings, "fingerprint", "--tenant", lost.tenant)
    assert half_done == [lost.revoked, lost.tenant]
    assert {
        name for name in fingerprint["tables"] if fingerprint["tables"][name] != lost.fingerprint["tables"][name]
    } == set()
    assert fingerprint["fingerprint"] == lost.fingerprint["fingerprint"]
    assert fingerprint["tables"]["payment"]["rows"] == 8
    assert replayed[lost.tenant]["events"][0]["listed"] > 20
    assert [run["unrepaired"] for run in replayed[lost.tenant]["reconciliations"]] == [0]
    assert replayed[lost.tenant]["unasked"] == []
    assert _command(settings, "verify", "--all")["ok"]
    # Who was not asked is named, is what is left, and fails the command.
    assert went_on.code == 1
    assert ["Invalid API Key" in one["because"] for one in replayed[lost.revoked]["unasked"]] == [True]
    assert json.loads((into / "gap.json").read_text())["left"] == [lost.revoked]
