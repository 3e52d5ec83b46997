"""Is a token genuine, and made for us? What it says of itself is only used to find whom to ask.

Source: RFC 7519 and 8725 (best current practices); OpenID Connect Core 1.0, section 3.1.3.7; RFC 9068 (access tokens).
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any, Final

import jwt

from bursar.kernel.errors import Unauthenticated
from bursar.kernel.http.bodies import JsonInvalid, parse_json
from bursar.kernel.oidc.issuers import Rules
from bursar.kernel.oidc.key_sets import ALGORITHMS

TOKEN_LENGTH_MAX: Final = 16_384
_TEXT_MAX: Final = 500
_SUBJECT_MAX: Final = 255
_TYPES: Final = frozenset({"", "jwt", "at+jwt", "application/at+jwt"})
_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)


class TokenRefused(Unauthenticated):
    """The bearer token is not one that this business accepts."""

    code = "token_refused"


class TokenExpired(Unauthenticated):
    """The bearer token is genuine, and its time is over."""

    code = "token_expired"


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a token says of itself, unproven."""

    issuer: str
    audiences: tuple[str, ...]
    party: str | None
    algorithm: str
    kid: str | None


def claimed(token: str) -> Claimed:
    """Read a token without believing it. Raises TokenRefused."""
    if len(token) > TOKEN_LENGTH_MAX or not _FORM.fullmatch(token):
        raise refused()
    head, body, _ = token.split(".")
    header, claims = _object(head), _object(body)
    kind, algorithm, kid = header.get("typ", ""), header.get("alg"), header.get("kid")
    if (
        not isinstance(kind, str)
        or kind.lower() not in _TYPES
        or "crit" in header
        or "cty" in header
        or "b64" in header
    ):
        raise refused()
    if algorithm not in ALGORITHMS or not (kid is None or (isinstance(kid, str) and len(kid) <= _TEXT_MAX)):
        raise refused()
    issuer, audience = claims.get("iss"), claims.get("aud", [])
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(issuer, str) or not isinstance(audiences, list) or not all(isinstance(a, str) for a in audiences):
        raise refused()
    return Claimed(issuer, tuple(audiences), _party(claims), algorithm, kid)


def verified(token: str, *, key: jwt.PyJWK, rules: Rules, algorithm: str) -> dict[str, Any]:
    """Return the claims of a token that this issuer signed for us and that is in its time.

    Raises TokenRefused, TokenExpired.
    """
    if algorithm not in rules.algorithms:
        raise refused()
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key=key,
            algorithms=[algorithm],
            issuer=rules.issuer,
            audience=rules.audience,
            leeway=rules.leeway_s,
            options={"require": ["exp", "iss"], "verify_aud": rules.audience is not None},
        )
    except jwt.ExpiredSignatureError as error:
        raise TokenExpired("the token has expired", hint="Get a new one from your identity provider.") from error
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError) as error:
        raise refused() from error
    if rules.authorized_parties and _party(claims) not in rules.authorized_parties:
        raise refused()
    return claims


def subject_of(claims: dict[str, Any], rules: Rules) -> str:
    """Return whom the token names. Raises TokenRefused."""
    subject = claims.get(rules.subject_claim)
    if not isinstance(subject, str) or not 1 <= len(subject) <= _SUBJECT_MAX or not subject.isprintable():
        raise refused()
    return subject


def text_of(claims: dict[str, Any], claim: str, *, length_max: int) -> str | None:
    """Return a claim that is for showing; None where it is not fit to be shown."""
    text = claims.get(claim)
    return text if isinstance(text, str) and 1 <= len(text) <= length_max and text.isprintable() else None


def roles_of(claims: dict[str, Any], rules: Rules) -> frozenset[str]:
    """Return the names of the roles that the token's holder has: the default ones, and those its claim is mapped to."""
    value: Any = claims if rules.roles_claim else None
    for name in rules.roles_claim:
        value = value.get(name) if isinstance(value, dict) else None
    told = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    mapped = (rules.role_map[one] for one in told if isinstance(one, str) and one in rules.role_map)
    return frozenset(rules.default_roles).union(*mapped)


def refused() -> TokenRefused:
    """Return the one answer to a token that is not accepted."""
    return TokenRefused(
        "this token is not accepted here",
        hint="Send a token of a configured issuer, and the header Bursar-Tenant: ten_…",
    )


def _party(claims: dict[str, Any]) -> str | None:
    """Return the application that a token was made for: `azp`, or `client_id` of an access token."""
    party = claims.get("azp", claims.get("client_id"))
    return party if isinstance(party, str) else None


def _object(part: str) -> dict[str, Any]:
    try:
        value = parse_json(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (JsonInvalid, ValueError, binascii.Error) as error:
        raise refused() from error
    if not isinstance(value, dict):
        raise refused()
    return value
