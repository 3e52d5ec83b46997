"""Every form there is, found in the routes and not listed: taken from our own pages, for the session they were shown to."""

import re

import httpx2
import pytest
from test_signing_in import settled, signing_in
from visitors import ORIGIN, Markup, Site, client_of

from bursar.kernel import ids
from bursar.kernel.auth import OPERATORS, PUBLIC
from bursar.web import pages
from bursar.web.pages.routing import PageRoute

REFUSED = ("this form was not sent from our own page", "this form belongs to another session")
KINDS = {
    "alert": ids.ALERT,
    "event": ids.EVENT,
    "dispute": ids.DISPUTE,
    "customer_ref": ids.CUSTOMER,
    "purchase": ids.PURCHASE,
    "user": ids.USER,
    "session": ids.SESSION,
    "key": ids.API_KEY,
    "circuit": ids.CIRCUIT,
    "payment_ref": ids.PAYMENT,
    "subscription_ref": ids.SUBSCRIPTION,
    "job": ids.JOB,
    "business": ids.TENANT,
    "lookup_key": ids.PRICE,
    "price": ids.PRICE,
    "saga": ids.SAGA,
    "gateway_account": ids.GATEWAY_ACCOUNT,
    "a_class": ids.CLASS,
    "booking": ids.BOOKING,
    "entry": ids.WAITLIST_ENTRY,
    "service": ids.SERVICE,
    "hours": ids.STAFF_HOURS,
    "time_off": ids.TIME_OFF,
    "tier": ids.TIER,
    "asked": ids.SESSION,
    "class": ids.CLASS,
    "coupon": ids.COUPON,
    "booking_ref": ids.BOOKING,
    "class_ref": ids.CLASS,
    "entry_ref": ids.WAITLIST_ENTRY,
    "policy": ids.BOOKING_POLICY,
    "room": ids.ROOM,
    "rule": ids.BOOKING_POLICY,
    "staff": ids.STAFF,
    "template": ids.CLASS_TEMPLATE,
    "venue": ids.VENUE,
}
"""What the parameters of addresses name. A new one is missing here until somebody says."""


def _routes() -> list[PageRoute]:
    """Return the routes that take a form."""
    return [route for route in pages.ROUTES if isinstance(route, PageRoute) and "POST" in route.methods]


def _addresses(*, public: bool) -> list[str]:
    """Return where forms are sent, with some id in the place of each; without those of operators."""
    tried = [route for route in _routes() if route.policy.permission != OPERATORS]
    found = [re.sub(r"\{(\w+)\}", _some_id, r.path) for r in tried if (r.policy.permission == PUBLIC) is public]
    assert len(found) > 3
    return found


def _some_id(parameter: re.Match[str]) -> str:
    return ids.show(KINDS[parameter[1]], ids.new())


async def _token(http: httpx2.AsyncClient) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', (await http.get("/account")).text)
    assert found
    return found[1]


async def _refusals(http: httpx2.AsyncClient, paths: list[str], fields: dict[str, str], **headers: str) -> list[str]:
    """Send a form to each address; return those at which it was not refused for where it came from."""
    through = []
    for path in paths:
        answer = await http.post(path, data=fields, headers=headers)
        if answer.status_code != 403 or not any(words in answer.text for words in REFUSED):
            through.append(f"{path}: {answer.status_code}")
    return through


@pytest.fixture
async def ann(site: Site):
    """A browser in which the owner of the business is signed in, who may do everything."""
    await settled(site)
    assert (await signing_in(site.stranger)).status_code == 303
    return site.stranger


async def test_no_form_is_taken_without_the_token_of_its_own_session(site: Site, ann: httpx2.AsyncClient):
    paths = _addresses(public=False)
    second = client_of(site.app)
    assert (await signing_in(second)).status_code == 303
    own, other = await _token(ann), await _token(second)

    assert own != other
    for fields in ({"a": "b"}, {"form_token": "x"}, {"form_token": other}, {"form_token": own[:-1]}):
        assert not await _refusals(ann, paths, fields, origin=ORIGIN)
    assert (await ann.get("/account")).status_code == (await second.get("/account")).status_code == 200
    await second.aclose()


@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": "https://evil.test"}, {"origin": "null"}, {"origin": ORIGIN, "sec-fetch-site": "cross-site"}],
    ids=["none", "foreign", "null", "cross-site"],
)
async def test_no_form_is_taken_from_another_site(site: Site, ann: httpx2.AsyncClient, headers: dict[str, str]):
    token = await _token(ann)

    assert not await _refusals(ann, _addresses(public=False), {"form_token": token}, **headers)
    assert not await _refusals(client_of(site.app), _addresses(public=True), {"api_key": "x"}, **headers)
    assert (await ann.get("/account")).status_code == 200


async def test_every_form_of_a_page_is_a_route_and_carries_its_token(ann: httpx2.AsyncClient):
    ahead, seen, forms = ["/", "/account", "/people", "/api-keys", "/dead", "/unmatched", "/events"], set(), []
    while ahead:
        path = ahead.pop()
        if path in seen:
            continue
        seen.add(path)
        answer = await ann.get(path, headers={"accept": "text/html"}, follow_redirects=True)
        markup = Markup(answer.text)
        posted = [form for form in markup.all("form") if form.get("method") == "post"]
        tokens = [field for field in markup.all("input") if field.get("name") == "form_token" and field.get("value")]
        assert len(tokens) == len(posted), path
        forms += [form["action"] or "" for form in posted]
        links = [link.partition("?")[0].partition("#")[0] for link in markup.values("href")]
        # A business's public pages have no session for a form to belong to: those are judged by where they come from, above.
        own = [a for a in links if a.startswith("/") and not a.startswith(("/docs", "/static", "/b/"))]
        ahead += [a for a in own if "/body" not in a]
        assert len(seen) < 300

    patterns = [route.path_regex for route in _routes()]
    assert not [action for action in forms if not any(pattern.match(action) for pattern in patterns)]
    assert {"/sign-out", "/people", "/api-keys", "/account/password"} <= {*forms}
