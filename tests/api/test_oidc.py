"""Tokens of identity providers: whose they are, what their holders may do, and everything that is no good token."""

import asyncio
import base64
import hashlib
import hmac
import json
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import jwt
import pytest

from api.conftest import Caller, caller_of, running
from bursar.kernel import ids, permissions
from bursar.kernel.postgres.ports import free_port
from bursar.web.app import Application
from issuing import AUDIENCE, NETWORKS, Issuer, Signer, answer, certificate_of, issuing
from stage import set_stage

pytestmark = pytest.mark.anyio

SECOND = Signer("second")
PATH = "/v1/customers"


@dataclass
class Place:
    """Two businesses, and an identity provider that nobody has configured yet."""

    app: Application
    http: httpx2.AsyncClient
    mine: Caller
    theirs: Caller
    issuer: Issuer

    @property
    def tenant(self) -> str:
        return ids.show(ids.TENANT, self.mine.stage.tenant_id)

    async def accept(self, caller: Caller | None = None, **more: Any) -> dict[str, Any]:
        body = {"issuer": self.issuer.url, "audience": AUDIENCE, "default_roles": ["read-only"]} | more
        told = await (caller or self.mine).post("/v1/identity-issuers", body)
        assert told.status_code == 201, told.text
        return told.json()

    async def ask(self, token: str, path: str = PATH, *, tenant: str | None = "", method: str = "GET", **more: Any):
        headers: dict[str, Any] = {"authorization": f"Bearer {token}".encode("latin-1")}
        if tenant is not None:
            headers["bursar-tenant"] = tenant or self.tenant
        return await self.http.request(method, path, headers=headers, **more)

    async def status(self, token: str, **more: Any) -> int:
        return (await self.ask(token, **more)).status_code

    def pass_pause(self) -> None:
        """Let so much time go by that the issuer may be asked again, and nothing more."""
        for kept in self.app.api.state.tokens._key_sets._kept.values():
            kept.not_before = 0.0

    def grow_old(self) -> None:
        """Let what was fetched be no longer fresh."""
        for kept in self.app.api.state.tokens._key_sets._kept.values():
            kept.not_before = kept.fresh_until = 0.0


@pytest.fixture
async def place(db, database_url):
    async with running(database_url, issuer_networks=NETWORKS) as (app, http), issuing() as issuer:
        mine = await caller_of(await set_stage(db, database_url, name="Mine"), http)
        theirs = await caller_of(await set_stage(db, database_url, name="Theirs"), http)
        yield Place(app, http, mine, theirs, issuer)


def refused(told) -> bool:
    assert told.status_code == 401, (told.status_code, told.text)
    assert told.json()["code"] == "token_refused"
    assert told.headers["www-authenticate"] == "Bearer"
    return True


# ---------------------------------------------------------------- who comes, and what he may do


async def test_a_good_token_opens_the_tenant_that_the_request_names(place):
    await place.accept()

    told = await place.ask(place.issuer.token())
    may_not = await place.ask(place.issuer.token(), "/v1/products", method="POST", json={"name": "x"})

    assert told.status_code == 200
    assert (may_not.status_code, may_not.json()["context"]) == (403, {"permission": "catalog:write"})


async def test_a_person_is_met_once_and_known_again_by_issuer_and_subject(place):
    await place.accept(default_roles=["owner"])

    await asyncio.gather(*(place.ask(place.issuer.token(email=f"{n}@example.org")) for n in range(5)))
    await place.ask(place.issuer.token("bob", email="0@example.org"))
    role = {"name": "of-ann", "permissions": ["payments:read"]}
    await place.ask(place.issuer.token(), "/v1/roles", method="POST", json=role)

    people = await place.mine.data("/v1/external-users")
    assert [person["subject"] for person in people] == ["bob", "ann"]
    created = next(r for r in await place.mine.data("/v1/audit-records") if r["action"] == "role.added")
    assert created["actor"] == f"user:{people[1]['id']}"
    met = [r for r in await place.mine.data("/v1/audit-records") if r["action"] == "external_user.first_seen"]
    assert len(met) == 2
    assert await place.theirs.data("/v1/external-users") == []


async def test_who_is_deactivated_is_refused_at_once_and_comes_back_as_the_same_person(place):
    await place.accept()
    token = place.issuer.token()
    assert await place.status(token) == 200
    person = (await place.mine.data("/v1/external-users"))[0]["id"]

    gone = await place.mine.post(f"/v1/external-users/{person}/deactivations")

    assert (gone.status_code, gone.json()["status"]) == (201, "deactivated")
    assert refused(await place.ask(token))
    assert refused(await place.ask(place.issuer.token(roles=["x"])))
    back = await place.mine.post(f"/v1/external-users/{person}/reactivations")
    assert back.json()["status"] == "active"
    assert await place.status(place.issuer.token()) == 200
    assert [p["id"] for p in await place.mine.data("/v1/external-users")] == [person]


CLERK = {"azp": "https://app.example.org", "sid": "sess_1", "org_id": "org_1", "org_role": "org:admin", "aud": None}
CLERK_2 = {"azp": "https://app.example.org", "v": 2, "o": {"id": "org_1", "rol": "admin", "slg": "shop"}, "aud": None}
AUTH0 = {
    "aud": [AUDIENCE, "https://example.eu.auth0.com/userinfo"],
    "azp": "kJ2x",
    "scope": "openid profile",
    "https://example.org/roles": ["shop-admin", "unmapped"],
}
KEYCLOAK = {
    "aud": [AUDIENCE, "account"],
    "azp": "shop-web",
    "typ": "Bearer",
    "realm_access": {"roles": ["offline_access", "shop-admin"]},
    "resource_access": {"shop.api": {"roles": ["shop-admin"]}},
    "preferred_username": "ann",
}


@pytest.mark.parametrize(
    ("claims", "rules"),
    [
        (CLERK, {"audience": None, "authorized_parties": ["https://app.example.org"], "roles_claim": ["org_role"], "role_map": {"org:admin": ["admin"]}}),
        (CLERK_2, {"audience": None, "authorized_parties": ["https://app.example.org"], "roles_claim": ["o", "rol"], "role_map": {"admin": ["admin"]}}),
        (AUTH0, {"roles_claim": ["https://example.org/roles"], "role_map": {"shop-admin": ["admin"]}}),
        (KEYCLOAK, {"authorized_parties": ["shop-web"], "roles_claim": ["realm_access", "roles"], "role_map": {"shop-admin": ["admin"]}}),
        (KEYCLOAK, {"roles_claim": ["resource_access", "shop.api", "roles"], "role_map": {"shop-admin": ["admin"]}}),
    ],
    ids=["clerk", "clerk 2", "auth0", "keycloak realm", "keycloak client"],
)  # fmt: skip
async def test_roles_come_from_where_the_provider_writes_them(place, claims, rules):
    await place.accept(default_roles=[], **rules)

    may = await place.ask(place.issuer.token(**claims), "/v1/products", method="POST", json={"name": "x"})
    may_not = await place.ask(place.issuer.token(**claims), "/v1/identity-issuers")

    assert may.status_code == 201, may.text
    assert may_not.status_code == 403
    assert "settings:write" not in permissions.ROLES["admin"]


async def test_a_value_that_is_not_mapped_gives_nothing_even_if_it_is_a_roles_name(place):
    await place.accept(default_roles=[], roles_claim=["roles"], role_map={"boss": ["read-only"]})

    for value in (["owner", "admin"], "owner", {"owner": True}, None, 7, [["boss"]], "BOSS"):
        told = await place.ask(place.issuer.token(roles=value))
        assert (told.status_code, told.json()["code"]) == (403, "permission_missing"), value
    assert await place.status(place.issuer.token(roles="boss")) == 200


async def test_a_role_of_the_business_s_own_may_be_mapped(place):
    await place.mine.post("/v1/roles", {"name": "desk", "permissions": ["customers:read"]})
    await place.accept(default_roles=["desk"])

    assert await place.status(place.issuer.token()) == 200
    assert await place.status(place.issuer.token(), path="/v1/payments") == 403


# ---------------------------------------------------------------- whose token


async def test_a_token_is_worth_nothing_at_another_tenant(place):
    await place.accept()
    token = place.issuer.token()

    for tenant in (
        ids.show(ids.TENANT, place.theirs.stage.tenant_id),
        ids.show(ids.TENANT, ids.new()),
        "ten_x",
        "'",
        "x" * 5000,
    ):
        assert refused(await place.ask(token, tenant=tenant))
    assert await place.status(token) == 200


async def test_without_the_header_a_token_finds_the_only_tenant_that_accepts_it(place):
    await place.accept()
    token = place.issuer.token()

    assert await place.status(token, tenant=None) == 200

    await place.accept(place.theirs)
    assert refused(await place.ask(place.issuer.token(jti="2"), tenant=None))
    assert await place.status(token) == 200


async def test_the_same_person_at_two_tenants_is_two_users(place):
    await place.accept()
    await place.accept(place.theirs)

    await place.ask(place.issuer.token())
    await place.ask(place.issuer.token(), tenant=ids.show(ids.TENANT, place.theirs.stage.tenant_id))

    one, other = [(await c.data("/v1/external-users"))[0]["id"] for c in (place.mine, place.theirs)]
    assert one != other


async def test_a_removed_issuer_is_asked_no_more(place):
    added = await place.accept()
    assert (await place.mine.send("DELETE", f"/v1/identity-issuers/{added['id']}")).status_code == 204

    assert refused(await place.ask(place.issuer.token()))
    assert place.issuer.asked == []


# ---------------------------------------------------------------- what is no good token


def _forged(header: dict[str, Any], claims: dict[str, Any], sign: Any = lambda _: b"") -> str:
    def part(raw: bytes) -> str:
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    signed = f"{part(json.dumps(header).encode())}.{part(json.dumps(claims).encode())}"
    return f"{signed}.{part(sign(signed.encode()) or b'x')}"


async def test_claims_that_are_not_for_us_or_not_for_now(place):
    await place.accept(leeway_s=10)
    now = int(time.time())
    bad: dict[str, dict[str, Any]] = {
        "from the future": {"nbf": now + 120},
        "made in the future": {"iat": now + 120},
        "for somebody else": {"aud": "other"},
        "for some others": {"aud": ["other", "more"]},
        "for nobody": {"aud": None},
        "for something odd": {"aud": {"bursar-api": 1}},
        "for ever": {"exp": None},
        "until who knows": {"exp": "tomorrow"},
        "until a list": {"exp": [now + 300]},
        "of another issuer": {"iss": "https://other.example.org"},
        "of a similar issuer": {"iss": place.issuer.url + "/"},
        "of no issuer": {"iss": None},
        "of nobody": {"sub": None},
        "of an empty subject": {"sub": ""},
        "of a long subject": {"sub": "x" * 256},
        "of a hidden subject": {"sub": "ann\u202e"},
        "of a number": {"sub": 7},
    }
    for told, claims in bad.items():
        token = _forged({"alg": "RS256", "kid": "first"}, place.issuer.claims(**claims), _rs256(place))
        assert refused(await place.ask(token)), told

    expired = await place.ask(place.issuer.token(exp=now - 60, iat=now - 120, nbf=now - 120))
    assert (expired.status_code, expired.json()["code"]) == (401, "token_expired")
    assert await place.status(place.issuer.token(exp=now - 5)) == 200
    assert await place.status(place.issuer.token(nbf=now + 5, iat=now + 5)) == 200
    assert await place.mine.data("/v1/external-users") != []


def _rs256(place: Place) -> Any:
    return lambda signed: jwt.get_algorithm_by_name("RS256").sign(signed, place.issuer.signer.private)


async def test_a_token_does_not_choose_how_it_is_checked(place):
    await place.accept()
    claims = place.issuer.claims()
    public = place.issuer.signer.private.public_key()
    pem = jwt.algorithms.RSAAlgorithm.to_jwk(public).encode()
    hidden = [pem, json.dumps(place.issuer.signer.jwk).encode(), b"", b"secret"]
    attacker = Signer("first")
    own_url = place.issuer.url + "/evil"
    place.issuer.answers["/evil"] = answer({"keys": [attacker.jwk]})
    bad = [
        _forged({"alg": "none"}, claims),
        _forged({"alg": "None", "typ": "JWT"}, claims),
        _forged({"alg": "nOnE", "kid": "first"}, claims),
        *(
            _forged({"alg": "HS256", "kid": "first"}, claims, lambda s, k=key: hmac.digest(k, s, "sha256"))
            for key in hidden
        ),
        attacker.sign(claims),
        attacker.sign(claims, jku=own_url),
        attacker.sign(claims, jku=own_url, x5u=own_url, jwk=attacker.jwk),
        attacker.sign(claims, jwk=attacker.jwk, kid="../../../../dev/null"),
        attacker.sign(claims, kid=own_url),
        attacker.sign(claims, kid="' union select 1 --"),
        attacker.sign(claims, kid="/evil"),
        _forged({"alg": "RS256", "kid": ["first"]}, claims, _rs256(place)),
        _forged({"alg": "RS256", "kid": "x" * 501}, claims, _rs256(place)),
        _forged({"alg": "RS256", "kid": "first", "crit": ["exp"]}, claims, _rs256(place)),
        _forged({"alg": "RS256", "kid": "first", "b64": False}, claims, _rs256(place)),
        _forged({"alg": "RS256", "kid": "first", "typ": "logout+jwt"}, claims, _rs256(place)),
        _forged({"alg": "RS256", "kid": "first", "typ": "dpop+jwt"}, claims, _rs256(place)),
        _forged({"alg": "RS256", "kid": "first", "typ": "JWT", "cty": "JWT"}, claims, _rs256(place)),
        place.issuer.token()[:-4] + "AAAA",
        place.issuer.token(signer=Signer("first", "ES256")),
        place.issuer.token(signer=Signer("first", "EdDSA")),
    ]

    for token in bad:
        assert refused(await place.ask(token)), token[:80]

    assert "/evil" not in place.issuer.asked
    assert await place.mine.data("/v1/external-users") == []
    assert await place.status(place.issuer.token()) == 200


DEEP = '{"a":' * 900 + "1" + "}" * 900
BODIES = ["7", '{"iss":"a","iss":"b"}', '{"exp":NaN}', '{"exp":1e999}', b"\xff\xfe", '{"iss":7}', "[]", ""]
HEADERS = ['{"alg":7}', '{"alg":["RS256"]}', '{"alg":{}}', '{"alg":"RS256","typ":7}', "null", '{"alg":null}']


async def test_texts_that_are_no_tokens_never_break_anything(place):
    await place.accept()
    good = place.issuer.token()
    head, body, signature = good.split(".")

    def part(text: str | bytes) -> str:
        raw = text if isinstance(text, bytes) else text.encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    bad = [
        "..",
        "a.b.c",
        f"{head}.{body}.",
        f".{body}.{signature}",
        f"{head}..{signature}",
        f"{head}.{part('[' * 9000)}.{signature}",
        f"{part('[' * 9000)}.{body}.{signature}",
        f"{part(DEEP)}.{body}.{signature}",
        *(f"{head}.{part(text)}.{signature}" for text in BODIES),
        *(f"{part(text)}.{body}.{signature}" for text in HEADERS),
        place.issuer.token(padding="x" * 20_000),
        f"{good}\u00e9".encode().decode("latin-1"),
        part(good) + ".b.c",
    ]
    for token in bad:
        assert refused(await place.ask(token)), token[:60]
    for nonsense in (f"{good}.{good}", f"{good}.x", "."):
        assert (await place.ask(nonsense)).json()["code"] == "unauthenticated"
    assert place.issuer.asked == []


async def test_the_party_that_a_token_was_made_for_is_checked_where_it_is_configured(place):
    await place.accept(authorized_parties=["shop-web"])

    assert await place.status(place.issuer.token(azp="shop-web")) == 200
    assert await place.status(place.issuer.token(client_id="shop-web")) == 200
    for other in ({}, {"azp": "evil"}, {"azp": ["shop-web"]}, {"azp": "evil", "client_id": "shop-web"}):
        assert refused(await place.ask(place.issuer.token(**other))), other


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_a_weak_or_private_or_foreign_key_of_the_issuer_is_not_used(place):
    await place.accept()
    weak, good = Signer("weak", bits=1024), place.issuer.signer
    private = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(SECOND.private)) | {"kid": "second"}
    place.issuer.keys = [
        weak.jwk,
        private,
        {"kty": "oct", "k": base64.urlsafe_b64encode(b"k" * 32).decode(), "kid": "shared", "alg": "HS256"},
        good.jwk | {"kid": "for encryption", "use": "enc"},
        good.jwk | {"kid": "for another", "alg": "RS512"},
        {"kty": "RSA", "kid": "broken", "n": "!", "e": 7},
        "no key",
    ]
    for signer in (
        weak,
        SECOND,
        *(Signer(kid, private=good.private) for kid in ("for encryption", "for another", "broken")),
    ):
        assert refused(await place.ask(place.issuer.token(signer=signer))), signer.kid
    shared = jwt.encode(place.issuer.claims(), b"k" * 32, "HS256", headers={"kid": "shared"})
    assert refused(await place.ask(shared))


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "PS256", "RS512"])
async def test_other_algorithms_work_where_they_are_configured(place, algorithm):
    signer = Signer("other", algorithm)
    place.issuer.keys = [signer.jwk]
    await place.accept(algorithms=[algorithm])

    assert await place.status(place.issuer.token(signer=signer)) == 200
    assert refused(await place.ask(place.issuer.token()))


async def test_a_refused_token_is_counted_for_the_tenant_that_it_was_shown_to(place, db):
    await place.accept()

    await place.ask(place.issuer.token(aud="other"))
    await place.app.resources.security.flush(db)

    seen = await place.mine.stage.row("select kind, count, address from security_event")
    assert seen == {"kind": "token_refused", "count": 1, "address": "127.0.0.1"}


# ---------------------------------------------------------------- keys that change, issuers that fail


async def test_a_new_key_is_fetched_once_and_unknown_ones_do_not_make_us_ask_again_and_again(place):
    await place.accept()
    assert await place.status(place.issuer.token()) == 200
    place.issuer.keys = [SECOND.jwk]
    place.pass_pause()

    assert await place.status(place.issuer.token(signer=SECOND)) == 200
    for n in range(5):
        assert refused(await place.ask(place.issuer.token(signer=Signer(f"made up {n}", private=SECOND.private))))

    assert place.issuer.asked.count("/keys") == 2
    assert refused(await place.ask(place.issuer.token(jti="signed with the old key")))


async def test_many_at_once_make_one_fetch(place):
    await place.accept()
    place.issuer.pause_s = 0.2

    told = await asyncio.gather(*(place.ask(place.issuer.token(f"user {n}")) for n in range(20)))

    assert {one.status_code for one in told} == {200}
    assert place.issuer.asked == ["/.well-known/openid-configuration", "/keys"]


async def test_while_the_issuer_is_down_its_last_keys_count_for_a_day(place):
    await place.accept()
    assert await place.status(place.issuer.token()) == 200
    place.issuer.is_down = True
    place.grow_old()

    assert await place.status(place.issuer.token(jti="2")) == 200
    assert await place.status(place.issuer.token(jti="3")) == 200

    for kept in place.app.api.state.tokens._key_sets._kept.values():
        kept.fetched_at -= 86_401
    told = await place.ask(place.issuer.token(jti="4"))
    assert (told.status_code, told.json()["code"]) == (503, "issuer_unavailable")


async def test_an_issuer_that_was_never_reached_is_an_outage_and_no_refusal(place):
    await place.accept()
    place.issuer.is_down = True

    told = await place.ask(place.issuer.token())

    assert (told.status_code, told.json()["code"]) == (503, "issuer_unavailable")
    assert int(told.headers["retry-after"]) > 0
    place.issuer.is_down = False
    place.pass_pause()
    assert await place.status(place.issuer.token()) == 200


BAD_ANSWERS = [
    ("/.well-known/openid-configuration", answer({"issuer": "https://other.example.org", "jwks_uri": "x"})),
    ("/.well-known/openid-configuration", answer({"issuer": "{url}", "jwks_uri": "file:///etc/passwd"})),
    ("/.well-known/openid-configuration", answer({"issuer": "{url}", "jwks_uri": "http://169.254.169.254/latest"})),
    ("/.well-known/openid-configuration", answer({"issuer": "{url}", "jwks_uri": "https://10.0.0.1/keys"})),
    ("/.well-known/openid-configuration", answer({"issuer": "{url}"})),
    ("/.well-known/openid-configuration", answer({}, "302 Found", location="http://127.0.0.1:1/")),
    ("/.well-known/openid-configuration", answer([])),
    ("/keys", answer(b"{" * 100)),
    ("/keys", answer({"keys": "none"})),
    ("/keys", answer(b'{"keys":[' + b" " * 300_000 + b"]}")),
    ("/keys", answer(b"\x1f\x8b", content_encoding="gzip")),
    ("/keys", answer({}, "500 Internal Server Error")),
    ("/keys", b"nonsense\r\n\r\n"),
]


async def test_an_issuer_that_answers_badly_is_an_outage(place):
    await place.accept()
    for path, told in BAD_ANSWERS:
        place.issuer.answers = {path: told.replace(b"{url}", place.issuer.url.encode())}
        place.app.api.state.tokens._key_sets._kept.clear()

        answered = await place.ask(place.issuer.token())

        assert (answered.status_code, answered.json()["code"]) == (503, "issuer_unavailable"), told


@pytest.fixture
def trusted(tmp_path, monkeypatch):
    """Make a certificate of a name, and trust it as those of the system are trusted."""

    def make(name: str) -> Path:
        certificate = certificate_of(name, tmp_path)
        context = ssl.create_default_context(cafile=str(certificate))
        monkeypatch.setattr("bursar.kernel.oidc.fetching._trusted", lambda: context)
        return certificate

    return make


@pytest.mark.parametrize(("name", "status"), [("localhost", 200), ("other.example.org", 503)])
async def test_an_issuer_shows_a_certificate_of_its_own_name(db, database_url, trusted, name, status):
    """The connection goes to the address that was looked at, and is still the issuer's by name."""
    certificate = trusted(name)
    async with (
        running(database_url, issuer_networks=NETWORKS) as (app, http),
        issuing(certificate=certificate) as issuer,
    ):
        caller = await caller_of(await set_stage(db, database_url), http)
        place = Place(app, http, caller, caller, issuer)
        await place.accept()

        assert issuer.url.startswith("https://localhost:")
        assert await place.status(issuer.token()) == status


# ---------------------------------------------------------------- which issuers may be configured


NOT_PUBLIC = [
    "http://login.example.org",
    "ftp://login.example.org",
    "file:///etc/passwd",
    "https://user:secret@login.example.org",
    "https://login.example.org?x=1",
    "https://login.example.org#x",
    "https://10.0.0.1",
    "https://192.168.1.1:8443/realms/x",
    "https://169.254.169.254",
    "https://[fd00::1]",
    "https://[::ffff:10.0.0.1]",
    "https://[64:ff9b::a00:1]",
    "https://0.0.0.0",
    "https://",
    "https://login.example.org\\@10.0.0.1",
    "https://login.example.org:99999",
    "https://log in.example.org",
    "javascript:alert(1)",
    "https://" + "x" * 600,
]


async def test_an_issuer_is_a_public_https_address(place):
    for url in NOT_PUBLIC:
        told = await place.mine.post("/v1/identity-issuers", {"issuer": url, "audience": "x"})
        assert (told.status_code, told.json()["code"]) in ((422, "issuer_address_invalid"), (422, "invalid")), url

    assert await place.mine.data("/v1/identity-issuers") == []


async def test_loopback_is_refused_unless_it_is_configured(db, database_url):
    async with running(database_url) as (_, http), issuing() as issuer:
        caller = await caller_of(await set_stage(db, database_url), http)
        for url in (issuer.url, "https://127.0.0.1", "https://[::1]"):
            told = await caller.post("/v1/identity-issuers", {"issuer": url, "audience": "x"})
            assert told.json()["code"] == "issuer_address_invalid"

        named = {"issuer": f"https://localhost:{urlsplit(issuer.url).port}", "audience": AUDIENCE}
        assert (await caller.post("/v1/identity-issuers", named)).status_code == 201
        token = issuer.token(iss=named["issuer"])
        tenant = ids.show(ids.TENANT, caller.stage.tenant_id)
        answered = await http.get(PATH, headers={"authorization": f"Bearer {token}", "bursar-tenant": tenant})

    assert (answered.status_code, issuer.asked) == (503, [])


async def test_an_issuer_needs_somebody_that_its_tokens_are_made_for(place):
    told = await place.mine.post("/v1/identity-issuers", {"issuer": place.issuer.url})

    assert (told.status_code, told.json()["code"]) == (422, "audience_missing")


async def test_an_issuer_is_configured_once_for_an_audience(place):
    await place.accept()
    await place.accept(audience="other")

    told = await place.mine.post("/v1/identity-issuers", {"issuer": place.issuer.url, "audience": AUDIENCE})

    assert (told.status_code, told.json()["code"]) == (409, "identity_issuer_exists")
    assert await place.status(place.issuer.token(aud="other")) == 200


async def test_nobody_maps_a_role_that_holds_more_than_he_does(place):
    limited = await place.mine.post("/v1/api-keys", {"name": "x", "scopes": ["settings:write", "customers:read"]})
    headers = {"authorization": f"Bearer {limited.json()['key']}"}
    body = {"issuer": place.issuer.url, "audience": AUDIENCE}

    for more in ({"default_roles": ["owner"]}, {"roles_claim": ["r"], "role_map": {"x": ["owner"]}}):
        told = await place.http.post("/v1/identity-issuers", json=body | more, headers=headers)
        assert (told.status_code, told.json()["code"]) == (403, "more_than_held")
    unknown = await place.mine.post("/v1/identity-issuers", body | {"default_roles": ["boss"]})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "role_unknown")
    assert await place.mine.data("/v1/identity-issuers") == []


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS512", "", "rs256", "RS256 "])
async def test_an_algorithm_that_shares_its_secret_cannot_be_configured(place, algorithm):
    body = {"issuer": place.issuer.url, "audience": AUDIENCE, "algorithms": ["RS256", algorithm]}

    assert (await place.mine.post("/v1/identity-issuers", body)).status_code == 422


# ---------------------------------------------------------------- a provider that others wrote


@pytest.fixture
def provider():
    """A real OpenID provider, run as a process of its own."""
    port = free_port()
    ann = {"sub": "ann@example.org", "email": "ann@example.org", "name": "Ann", "groups": ["shop-admin"]}
    command = ["-m", "oidc_provider_mock", "--port", str(port), "--user-claims", json.dumps(ann)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-W", "ignore", *command], **quiet) as process:
        yield f"http://localhost:{port}"
        process.terminate()


async def test_a_token_of_a_real_provider_had_through_the_authorisation_code_flow(place, provider):
    added = await place.mine.post(
        "/v1/identity-issuers",
        {
            "issuer": provider,
            "audience": "shop-web",
            "roles_claim": ["groups"],
            "role_map": {"shop-admin": ["admin"]},
        },
    )
    assert added.status_code == 201, added.text

    token = await _signed_in(provider)

    told = await place.ask(token, "/v1/products", method="POST", json={"name": "x"})
    assert told.status_code == 201, told.text
    person = (await place.mine.data("/v1/external-users"))[0]
    assert (person["subject"], person["email"], person["name"]) == ("ann@example.org", "ann@example.org", "Ann")
    assert refused(await place.ask(token, tenant=ids.show(ids.TENANT, place.theirs.stage.tenant_id)))


async def _signed_in(provider: str) -> str:
    """Sign in as a browser and a web application would, and return the ID token."""
    verifier = "v" * 64
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "response_type": "code",
        "client_id": "shop-web",
        "redirect_uri": "https://shop.example.org/callback",
        "scope": "openid email profile",
        "state": "s1",
        "nonce": "n1",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    async with httpx2.AsyncClient(trust_env=False) as browser:
        described = await _described(browser, provider)
        back = await browser.post(described["authorization_endpoint"], params=asked, data={"sub": "ann@example.org"})
        returned = parse_qs(urlsplit(back.headers["location"]).query)
        assert returned["state"] == ["s1"]
        granted = await browser.post(
            described["token_endpoint"],
            data={
                "grant_type": "authorization_code",
                "code": returned["code"][0],
                "redirect_uri": asked["redirect_uri"],
                "client_id": "shop-web",
                "client_secret": "any",
                "code_verifier": verifier,
            },
        )
    return granted.json()["id_token"]


async def _described(browser: httpx2.AsyncClient, provider: str) -> dict[str, Any]:
    """Wait until the provider answers, and return what it says of itself."""
    for _ in range(200):
        try:
            return (await browser.get(f"{provider}/.well-known/openid-configuration")).json()
        except httpx2.ConnectError:
            await asyncio.sleep(0.1)
    pytest.fail("the provider does not answer")
