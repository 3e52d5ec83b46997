"""Life in the demo's studio: rooms, people and four weeks of classes, and customers who book, cancel, wait and come in.

What it is: a caller of the API like any other, with the studio's own key. What it is not: a way round it; what the rules or the seats
forbid is refused to the demo too, and tried elsewhere.
"""

import asyncio
import time
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any, Final

import httpx2

from bursar.kernel.zones import local_day, zone_named

ZONE: Final = "Europe/Berlin"
ACT_S: Final = 4.0
"""How often somebody does something while people may be watching."""
ACT_LATER_S: Final = 45.0
LIVELY_S: Final = 600.0
AT_FIRST: Final = 60
"""How many things happen at once when the studio opens, so that its classes are not empty."""
_AHEAD: Final = timedelta(days=12)
_TIMEOUT_S: Final = 20.0
_RETRY_S: Final = 2.0
_PAGE: Final = 200

_STAFF: Final = (
    ("Ida Brandt", "Slow and exact; has taught for twelve years."),
    ("Tomás Reyes", "Handstands, and how to fall."),
    ("Noor Haddad", "Vinyasa in the early morning."),
    ("Lena Vogt", "Restorative yoga, and massage."),
)
_ROOMS: Final = (("Hall", 14), ("Loft", 8))

_PACKS: Final = ("class-pack-10", "drop-in")

# Title, room, instructor, days, time, minutes, seats, credits.
_CLASSES: Final = (
    ("Morning flow", 0, 2, "MO,WE,FR", "07:00", 60, 14, 1),
    ("Slow yoga", 0, 0, "MO,TU,WE,TH,FR", "10:00", 75, 12, 1),
    ("Lunch break", 1, 1, "TU,TH", "12:30", 45, 8, 1),
    ("Handstand club", 1, 1, "MO,WE", "17:30", 60, 6, 2),
    ("Evening flow", 0, 2, "MO,TU,WE,TH", "18:30", 60, 14, 1),
    ("Restorative", 0, 3, "SU", "17:00", 90, 10, 1),
    ("Weekend long", 0, 0, "SA", "09:30", 90, 14, 1),
)
# So that there is something today, whenever somebody opens the demo.
_EVERY_DAY: Final = tuple(
    ("Open practice", 1, None, None, at, 45, 8, 1)
    for at in ("08:00", "11:00", "14:00", "16:00", "19:30", "22:00", "23:10")
)


class Life:
    """Furnishes the studio once and then lives in it, over HTTP, until cancelled.

    crowd: how much everybody likes the same classes. done: how often something happened. A refusal is what happens in studios, and no failure.
    """

    def __init__(self, *, url: str, api_key: str, seed: int | None = None, crowd: float = 10.0) -> None:
        self._url = url
        self._key = api_key
        self._crowd = crowd
        self._random = Random(seed)  # noqa: S311 - nobody's secret depends on it
        self.done = 0

    async def run(self) -> str:
        """Open the studio if that was not done, and let things happen; return why it gave up, if the API refused the studio."""
        headers = {"authorization": f"Bearer {self._key}"}
        async with httpx2.AsyncClient(base_url=self._url, headers=headers, timeout=_TIMEOUT_S) as http:
            try:
                is_new = await self._furnished(http)
            except httpx2.HTTPStatusError as refusal:
                return (
                    f"{refusal.request.url.path} answers {refusal.response.status_code}: {refusal.response.text[:500]}"
                )
            for _ in range(AT_FIRST if is_new else 0):
                await self.act(http)
            began = time.monotonic()
            while True:
                await self.act(http)
                is_lively = time.monotonic() - began < LIVELY_S
                await asyncio.sleep((ACT_S if is_lively else ACT_LATER_S) * self._random.uniform(0.5, 1.5))

    async def _furnished(self, http: httpx2.AsyncClient) -> bool:
        """Furnish; an API that is not there yet, or restarts, is waited for. Raises httpx2.HTTPStatusError: refused."""
        while True:
            try:
                return await furnish(http, today=_today())
            except httpx2.HTTPError as failure:
                if isinstance(failure, httpx2.HTTPStatusError) and failure.response.is_client_error:
                    raise
                await asyncio.sleep(_RETRY_S)

    async def act(self, http: httpx2.AsyncClient) -> None:
        """Let one thing happen."""
        acts = (*[self._book] * 7, self._cancel, self._come, self._come)
        try:
            if await self._random.choice(acts)(http):
                self.done += 1
        except httpx2.HTTPError:
            await asyncio.sleep(_RETRY_S)

    async def _book(self, http: httpx2.AsyncClient) -> bool:
        """Let somebody who has credits book a class, or wait for one that is full."""
        customer = await self._somebody(http)
        today = _today()
        classes = await _data(
            http, "/v1/classes", since=str(today), until=str(today + _AHEAD), status="scheduled", limit=_PAGE
        )
        upcoming = [each for each in classes if _at(each["starts_at"]) > datetime.now(UTC)]
        if customer is None or not upcoming:
            return False
        # Some classes are liked by everybody, so that they fill up.
        chosen = upcoming[min(int(self._random.expovariate(self._crowd) * len(upcoming)), len(upcoming) - 1)]
        wanted = {"class": chosen["id"], "customer": customer}
        answer = await http.post("/v1/bookings", json=wanted | {"pays": "credits"})
        if answer.status_code == httpx2.codes.CONFLICT and answer.json()["code"] == "class_full":
            answer = await http.post("/v1/waitlist-entries", json=wanted)
        return bool(answer.is_success)

    async def _cancel(self, http: httpx2.AsyncClient) -> bool:
        """Let somebody give a seat up; whoever waits has it at once."""
        booked = await _data(http, "/v1/bookings", status="booked", limit=50)
        if not booked:
            return False
        answer = await http.post(f"/v1/bookings/{self._random.choice(booked)['id']}/cancellations", json={})
        return bool(answer.is_success)

    async def _come(self, http: httpx2.AsyncClient) -> bool:
        """Check somebody in whose class is about to begin or has begun."""
        now = datetime.now(UTC)
        today = _today()
        booked = await _data(
            http, "/v1/bookings", status="booked", since=str(today), until=str(today + timedelta(days=1)), limit=_PAGE
        )
        here = [
            each for each in booked if _at(each["starts_at"]) - timedelta(minutes=15) <= now <= _at(each["ends_at"])
        ]
        if not here:
            return False
        answer = await http.post(f"/v1/bookings/{self._random.choice(here)['id']}/check-ins")
        return bool(answer.is_success)

    async def _somebody(self, http: httpx2.AsyncClient) -> str | None:
        """Return a customer who has credits for classes."""
        customers = await _data(http, "/v1/customers", limit=_PAGE)
        for customer in self._random.sample(customers, min(len(customers), 8)):
            told = (await http.get(f"/v1/customers/{customer['id']}/credits")).json()
            if any(pool["pool"] == "classes" and pool["balance"] > 0 for pool in told.get("pools", ())):
                return str(customer["id"])
        return None


async def furnish(http: httpx2.AsyncClient, *, today: date) -> bool:
    """Give the studio a venue, rooms, people, terms and four weeks of classes, once; False where it has a venue already.

    Each step has an Idempotency-Key, so that one that was interrupted goes on where it stopped. Raises httpx2.HTTPError.
    """
    venues = await _data(http, "/v1/venues")
    if venues and len(await _data(http, "/v1/class-templates", limit=_PAGE)) >= len(_CLASSES) + len(_EVERY_DAY):
        return False
    await _done(await http.put("/v1/time-zone", json={"time_zone": ZONE}))
    venue = await _made(
        http, "/v1/venues", "venue", {"name": "Studio Lumen", "time_zone": ZONE, "address": "Lindenweg 4, Berlin"}
    )
    rooms = [
        await _made(http, "/v1/rooms", f"room-{n}", {"venue": venue, "name": name, "capacity": seats})
        for n, (name, seats) in enumerate(_ROOMS)
    ]
    staff = [
        await _made(http, "/v1/staff", f"staff-{n}", {"name": name, "about": about})
        for n, (name, about) in enumerate(_STAFF)
    ]
    terms = {"cancel_minutes": 12 * 60, "waitlist_until_minutes": 60}
    await _made(http, "/v1/booking-policies", "policy", {"name": "House rules", "terms": terms, "is_default": True})
    seat = await _sell(http)
    for n, what in enumerate((*_CLASSES, *_EVERY_DAY)):
        await _made(
            http, "/v1/class-templates", f"template-{n}", _template(what, venue, rooms, staff, today=today, seat=seat)
        )
    return True


async def _sell(http: httpx2.AsyncClient) -> str:
    """Sell the packs there are by link, and single seats to whoever comes for the first time; return the price of a seat."""
    for key in _PACKS:
        for price in await _data(http, "/v1/prices", lookup_key=key):
            await _done(await http.put(f"/v1/prices/{price['id']}/buy-link", json={"is_on": True}))
    product = await _made(http, "/v1/products", "seat", {"name": "One seat, paid at once"})
    terms = {
        "product": product,
        "lookup_key": "seat",
        "amount_minor": 1500,
        "currency": "EUR",
        "grants": [{"kind": "seat"}],
    }
    return await _made(http, "/v1/prices", "seat-price", terms)


def _template(
    what: tuple[Any, ...], venue: str, rooms: list[str], staff: list[str], *, today: date, seat: str
) -> dict[str, Any]:
    title, room, instructor, days, at, minutes, seats, credits_needed = what
    return {
        "venue": venue,
        "room": rooms[room],
        "staff": None if instructor is None else staff[instructor],
        "price": seat if credits_needed == 1 else None,
        "title": title,
        "category": "yoga",
        "duration_min": minutes,
        "capacity": seats,
        "credit_cost": credits_needed,
        "pools": ["classes"],
        "rrule": f"FREQ=WEEKLY;BYDAY={days}" if days else "FREQ=DAILY",
        "starts_on": str(today),
        "local_start": at,
        "is_published": True,
    }


async def _made(http: httpx2.AsyncClient, path: str, key: str, body: dict[str, Any]) -> str:
    answer = await _done(await http.post(path, json=body, headers={"idempotency-key": f"demo-{key}"}))
    return str(answer.json()["id"])


async def _done(answer: httpx2.Response) -> httpx2.Response:
    answer.raise_for_status()
    return answer


async def _data(http: httpx2.AsyncClient, path: str, **params: Any) -> list[dict[str, Any]]:
    answer = await _done(await http.get(path, params=params))
    return list(answer.json()["data"])


def _today() -> date:
    return local_day(datetime.now(UTC), zone_named(ZONE))


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)
