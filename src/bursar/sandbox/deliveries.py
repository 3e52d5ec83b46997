"""Telling: events go to the endpoints that want them, signed as Stripe signs, again and again until they are taken.

Order is not kept. Attempts follow each other after seconds first and hours later, for three days of the sandbox's
time: moving the clock brings the next attempt nearer. Each attempt is written down.
"""

import asyncio
import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import httpx2

from bursar.money.gateways.signatures import sign_stripe
from bursar.sandbox import store
from bursar.sandbox.gateway import Gateway
from bursar.sandbox.work import shown

ATTEMPTS_AFTER_S: Final = (5, 30, 120, 600, 3_600, 3 * 3_600, 6 * 3_600, 12 * 3_600, 24 * 3_600, 24 * 3_600)
TIMEOUT_S: Final = 20.0
_AT_ONCE_MAX: Final = 16
_TAKEN: Final = range(200, 300)
_SAID_MAX: Final = 200

_DUE: Final = """
select number, account, event, endpoint, attempts from delivery
where state = 'waiting' and due_at <= ? order by due_at, number limit ?
"""


class Sender:
    """Sends what is due, a few at a time."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._client = httpx2.AsyncClient(timeout=TIMEOUT_S, trust_env=False)
        self._sending: dict[int, asyncio.Task[None]] = {}

    def start_due(self) -> None:
        """Begin to send what is due and is not being sent already."""
        room = _AT_ONCE_MAX - len(self._sending)
        if room <= 0:
            return
        rows = self._gateway.store.connection.execute(
            _DUE, (self._gateway.clock.now(), _AT_ONCE_MAX + len(self._sending))
        ).fetchall()
        for number, account, event, endpoint, attempts in rows:
            if number not in self._sending and len(self._sending) < _AT_ONCE_MAX:
                task = asyncio.create_task(self._deliver(number, account, event, endpoint, attempts))
                self._sending[number] = task

    async def close(self) -> None:
        """Stop sending; what was not taken is sent again at the next start."""
        for task in list(self._sending.values()):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._client.aclose()

    async def _deliver(self, number: int, account: str, event: str, endpoint: str, attempts: int) -> None:
        try:
            connection = self._gateway.store.connection
            told = store.find(connection, account, "event", event)
            wanting = store.find(connection, account, "webhook_endpoint", endpoint)
            if told is None or wanting is None:
                self._finish(number, account, None, state="gone", said="the event or the endpoint is gone")
                return
            waits = self._gateway.misbehaviour.copies() if attempts == 0 else [0.0]
            if not waits:
                self._finish(number, account, None, state="dropped", said="never sent: a switch says so")
                return
            body = json.dumps(shown(told), indent=2).encode()
            outcomes = await asyncio.gather(*(self._send(wanting, body, wait_s) for wait_s in waits))
            status, said = next((one for one in outcomes if one[0] in _TAKEN), outcomes[0])
            if status in _TAKEN:
                self._finish(number, account, event, state="taken", status=status, said=said)
            else:
                self._put_off(number, attempts, status, said)
        finally:
            self._sending.pop(number, None)

    async def _send(self, endpoint: dict[str, str], body: bytes, wait_s: float) -> tuple[int, str]:
        await asyncio.sleep(wait_s)
        now = datetime.fromtimestamp(self._gateway.clock.real(), UTC)
        headers = sign_stripe(body=body, secret=endpoint["_secret"], now=now) | {
            "content-type": "application/json; charset=utf-8",
            "user-agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
        }
        try:
            answer = await self._client.post(endpoint["url"], content=body, headers=headers)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return 0, type(error).__name__
        return answer.status_code, answer.text[:_SAID_MAX]

    def _finish(self, number: int, account: str, event: str | None, *, state: str, status: int = 0, said: str) -> None:
        with self._gateway.store.transaction() as connection:
            connection.execute(
                "update delivery set state = ?, attempts = attempts + 1 where number = ?", (state, number)
            )
            self._write_down(number, status, said)
            told = store.find(connection, account, "event", event) if event else None
            if told:
                told["pending_webhooks"] = max(0, told["pending_webhooks"] - 1)
                store.save(connection, account, told)

    def _put_off(self, number: int, attempts: int, status: int, said: str) -> None:
        is_over = attempts >= len(ATTEMPTS_AFTER_S)
        due_at = self._gateway.clock.now() + (0 if is_over else ATTEMPTS_AFTER_S[attempts])
        with self._gateway.store.transaction() as connection:
            connection.execute(
                "update delivery set state = ?, attempts = attempts + 1, due_at = ? where number = ?",
                ("failed" if is_over else "waiting", due_at, number),
            )
            self._write_down(number, status, said)

    def _write_down(self, number: int, status: int, said: str) -> None:
        self._gateway.store.connection.execute(
            "insert into attempt (delivery, at, status, said) values (?, ?, ?, ?)",
            (number, int(self._gateway.clock.real()), status, said),
        )
