"""A real server on a loopback port, in the test's own loop, and a tenant whose account it receives for."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from bursar.cli.server import server_of
from bursar.kernel import ids
from bursar.kernel.db import Database
from bursar.kernel.seal import Seal
from bursar.kernel.settings import Settings
from bursar.money.intake import signing_purpose
from bursar.money.intake.accounts import api_key_purpose
from bursar.web.app import create_app
from stage import Stage, set_stage

KEY = base64.urlsafe_b64encode(b"k" * 32).decode()
_GIVE_KEY = "update gateway_account set api_key = $3, base_url = $4 where tenant_id = $1 and id = $2"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """connections: those that the server knows of, at this moment."""

    port: int
    connections: set[Any] = field(default_factory=set)

    async def send(
        self, path: str, body: bytes = b"", headers: dict[str, str] | None = None, method: str = "POST"
    ) -> Answer:
        told = {"host": "127.0.0.1", "content-length": str(len(body)), "connection": "close"} | (headers or {})
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in told.items()) + "\r\n"
        return await self.raw(head.encode("latin-1") + body)

    async def raw(self, data: bytes, *, close: bool = False, wait_s: float = 15) -> Answer:
        """Send bytes as they are and read one answer. A status of 0: the server hung up without one."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            if close:
                writer.write_eof()
            return await asyncio.wait_for(read_answer(reader), wait_s)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return Answer(0, {}, b"")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
    length = int(headers.get("content-length", "0"))
    try:
        body = await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        body = b""
    return Answer(int(first.split()[1]), headers, body)


async def give_key(stage: Stage, key: str, *, base_url: str | None = None) -> None:
    """Give the stage's account a key to its gateway, and say where that is."""
    sealed = Seal(KEY).seal(key, purpose=api_key_purpose(stage.account_id))
    async with stage.db.tenant(stage.tenant_id) as tx:
        await tx.execute(_GIVE_KEY, stage.tenant_id, stage.account_id, sealed, base_url)


@asynccontextmanager
async def serving(url: str, **settings: Any) -> AsyncIterator[Server]:
    listening = socket.create_server(("127.0.0.1", 0))
    app = create_app(Settings(database_url=url, secret_key=KEY, **settings))
    server = server_of(app)
    server.config.timeout_graceful_shutdown = 1
    task = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield Server(listening.getsockname()[1], server.server_state.connections)
    finally:
        server.should_exit = True
        await task
        listening.close()


@dataclass
class Receiver:
    """A stage whose account has secrets, and the path that its gateway delivers to."""

    stage: Stage
    secrets: list[str]

    @property
    def path(self) -> str:
        return f"/v1/webhooks/{ids.show(ids.GATEWAY_ACCOUNT, self.stage.account_id)}"

    def signed(self, body: bytes, *, secret: str | None = None, at: int | None = None) -> dict[str, str]:
        moment = int(time.time()) if at is None else at
        key = secret or self.secrets[0]
        signature = hmac.new(key.encode(), f"{moment}.".encode() + body, hashlib.sha256).hexdigest()
        return {"stripe-signature": f"t={moment},v1={signature}", "content-type": "application/json"}


async def set_receiver(
    db: Database, url: str, *, gateway: str = "stripe", secrets: tuple[str, ...] = ("whsec_one",)
) -> Receiver:
    stage = await set_stage(db, url, gateway=gateway)
    seal = Seal(KEY)
    sealed = [seal.seal(s, purpose=signing_purpose(stage.account_id)) for s in secrets]
    async with db.tenant(stage.tenant_id) as tx:
        await tx.execute(
            "update gateway_account set signing_secrets = $2 where tenant_id = $1", stage.tenant_id, sealed
        )
    return Receiver(stage, list(secrets))
