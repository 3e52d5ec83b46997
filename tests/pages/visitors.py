"""Visitors of the pages: signed in as a business with a history, as an empty one, as its neighbour, or not at all."""

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import httpx2

from api.operations import given_up
from bursar.kernel import ids, tenancy
from bursar.web.app import Application
from stage import Stage, charge, event, intent, invoice, refund, session, subscription

ORIGIN = "http://bursar.test"


@dataclass
class Visitor:
    """A browser that has signed in with its business's key."""

    stage: Stage
    key: str
    http: httpx2.AsyncClient

    async def sign_in(self) -> httpx2.Response:
        return await self.http.post("/sign-in", data={"api_key": self.key}, headers={"origin": ORIGIN})

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        return await self.http.get(path, headers={"accept": "text/html", **headers})

    async def page(self, path: str) -> str:
        answer = await self.get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[-2000:])
        return answer.text

    async def token(self) -> str:
        found = re.search(r'name="form_token" value="([^"]+)"', await self.page("/"))
        assert found
        return found[1]

    async def post(self, path: str, fields: dict[str, str] | None = None, **headers: str) -> httpx2.Response:
        data = {"form_token": await self.token(), **(fields or {})}
        return await self.http.post(path, data=data, headers={"origin": ORIGIN, **headers})

    async def id_of(self, prefix: str, query: str, *args: Any) -> str:
        return ids.show(prefix, await self.stage.value(query, *args))


@dataclass
class Site:
    """A running application, and who visits it."""

    app: Application
    lived: Visitor
    empty: Visitor
    stranger: httpx2.AsyncClient


async def live(stage: Stage) -> None:
    """A pack partly refunded, a membership, a disputed course, money that names nothing, an ignored and two dead events."""
    await stage.tell(
        event(
            "customer.created", {"id": "cus_ann", "object": "customer", "name": "Ann Abara", "email": "ann@example.com"}
        ),
        event("checkout.session.completed", session()),
        event("charge.succeeded", charge()),
        event("refund.created", refund()),
        event("invoice.paid", invoice("2")),
        event("customer.subscription.created", subscription()),
        event(
            "checkout.session.completed",
            session("9", customer="cus_bob", amount_total=9900, metadata={"bursar_price": "course"}),
        ),
        event("payment_intent.succeeded", intent("9", customer="cus_bob", amount=9900, amount_received=9900)),
        event("charge.dispute.created", _dispute("9")),
        event("payment_intent.succeeded", unnamed("7")),
        event("product.created", {"id": "prod_x", "object": "product"}),
    )
    await stage.deliver(
        event("charge.succeeded", {"id": "ch_bad", "object": "charge"}),
        event("charge.succeeded", {"id": "ch_worse", "object": "charge"}),
    )
    await stage.apply(retries_max=1)
    await given_up(stage)


def unnamed(n: str) -> dict[str, Any]:
    """A payment that does not say what it was for."""
    return intent(n, latest_charge=f"ch_{n}", customer="cus_eve", amount=10_000, amount_received=10_000)


def _dispute(n: str) -> dict[str, Any]:
    return {
        "id": f"dp_{n}",
        "object": "dispute",
        "status": "needs_response",
        "amount": 9900,
        "currency": "eur",
        "charge": f"ch_{n}",
        "payment_intent": f"pi_{n}",
        "created": 1_760_000_200,
        "evidence_details": {"due_by": 1_761_000_000},
    }


def client_of(app: Application) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url=ORIGIN)


async def key_of(stage: Stage) -> str:
    async with stage.db.tenant(stage.tenant_id) as tx:
        return await tenancy.create_key(tx, tenant_id=stage.tenant_id, name="test", actor="operator")


class Markup(HTMLParser):
    """What a page is made of: its elements, links and ids, and whether its tags close as they open."""

    VOID = frozenset(["area", "base", "br", "col", "hr", "img", "input", "link", "meta", "source", "path", "rect"])

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.crossed: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, *tags: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.elements if tag in tags]

    def values(self, name: str) -> list[str]:
        return [attrs[name] or "" for _, attrs in self.elements if name in attrs]
