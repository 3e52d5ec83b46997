"""The Stripe caller against a stateful double that others wrote (localstripe), for the calls that it supports.

It is no dependency: it is under the GPL, and its releases hold no wheel, which is all that our lock allows. So it is
a program of its own, in an environment of its own, named by BURSAR_LOCALSTRIPE; on loopback, whatever it would listen on.
    python3 -m venv DIR && DIR/bin/pip install localstripe==1.15.10 && BURSAR_LOCALSTRIPE=DIR/bin/localstripe
It ignores idempotency keys and knows no API version, so what the port promises of those is not shown here; it knows no
`automatic_payment_methods`, checkouts, prices, disputes or portal, so payments are made behind the caller's back.
"""

import asyncio
import os
import socket
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from bursar.money.gateways import calls, gateway
from bursar.money.gateways.callers import Callers
from bursar.money.gateways.calling import Credentials, GatewayRefused
from bursar.money.gateways.calls import Kind

PROGRAM = os.environ.get("BURSAR_LOCALSTRIPE", "")
pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        not Path(PROGRAM).is_file(), reason="localstripe is absent: set BURSAR_LOCALSTRIPE to its program"
    ),
]

_LOOPBACK = """
import socket
bind = socket.socket.bind
socket.socket.bind = lambda sock, address: bind(sock, ("::1", *address[1:]))
"""


@pytest.fixture
async def shop(tmp_path):
    with socket.socket(socket.AF_INET6) as free:
        free.bind(("::1", 0))
        port = free.getsockname()[1]
    (tmp_path / "sitecustomize.py").write_text(_LOOPBACK)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "TMPDIR": str(tmp_path)}
    server = await asyncio.create_subprocess_exec(
        PROGRAM,
        "--port",
        str(port),
        "--from-scratch",
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    callers = Callers()
    try:
        await _listening(port)
        yield Shop(callers, Credentials("sk_test_12345", f"http://[::1]:{port}"))
    finally:
        await callers.close()
        server.terminate()
        await server.wait()


async def _listening(port):
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("::1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise AssertionError(f"localstripe does not listen ({sys.version})")


class Shop:
    def __init__(self, callers, credentials):
        self.caller, self.credentials, self.count = callers.of("stripe"), credentials, 0

    async def do(self, call, key=None):
        self.count += 1
        return await self.caller.execute(call, credentials=self.credentials, idempotency_key=key or f"key-{self.count}")

    async def pays(self, customer, method, amount):
        """Take money as an older client would, and show what came of it through our caller."""
        form = {"amount": amount, "currency": "eur", "customer": customer, "payment_method": method, "confirm": "true"}
        async with httpx2.AsyncClient(auth=(self.credentials.api_key, ""), trust_env=False) as http:
            made = await http.post(f"{self.credentials.base_url}/v1/payment_intents", data=form)
        name = made.json().get("id") or made.json()["error"]["payment_intent"]["id"]
        return await self.caller.fetch(Kind.payment, name, credentials=self.credentials)

    async def customer_with(self, card):
        customer = (await self.do(calls.CreateCustomer(email="ann@example.com", name="Ann"))).ref
        saved = await self.do(calls.AttachPaymentMethod(payment_method=card, customer=customer))
        return customer, saved.ref


def fact_of(answer):
    return gateway("stripe").translate_object(kind=answer.kind, object=answer.object)[0]


async def test_it_pays_refunds_finds_lists_and_forgets(shop):
    customer, method = await shop.customer_with("pm_card_visa")

    paid = await shop.pays(customer, method, 1500)
    part = calls.CreateRefund(refund="re_ours", payment=paid.ref, amount_minor=500, currency="EUR")
    refund = await shop.do(part)
    found = await shop.caller.find(
        part,
        credentials=shop.credentials,
        idempotency_key="lost",
        since=datetime.now(UTC) - timedelta(minutes=1),
    )
    default = await shop.do(calls.SetDefaultPaymentMethod(payment_method=method, customer=customer))
    charges = await shop.caller.objects(Kind.charge, credentials=shop.credentials)
    gone = await shop.do(calls.DetachPaymentMethod(payment_method=method, customer=customer))

    assert (fact_of(paid).status, fact_of(paid).amount_minor) == ("succeeded", 1500)
    assert (fact_of(refund).amount_minor, fact_of(refund).bursar_refund) == (500, "re_ours")
    assert found.ref == refund.ref
    assert default.object["invoice_settings"]["default_payment_method"] == method
    assert [fact_of(charge).amount_minor for charge in charges.answers] == [1500]
    assert fact_of(gone).is_detached


async def test_it_refuses_and_what_is_not_there_is_none(shop):
    customer, method = await shop.customer_with("pm_card_visa")

    with pytest.raises(GatewayRefused) as refused:
        await shop.do(calls.CreatePayment(amount_minor=1, currency="EUR", customer=customer, payment_method=method))

    assert (refused.value.status, refused.value.message) == (400, "Unexpected automatic_payment_methods")
    assert await shop.caller.fetch(Kind.payment, "pi_nobody", credentials=shop.credentials) is None
