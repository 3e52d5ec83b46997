"""Values that the installation's key seals: opened on the way into an archive, sealed with the other key on the way out.

So a moved business keeps its gateways' secrets, its people their second factor, and a repeated request its answer. An
archive that is not sealed itself has none of them.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.seal import Seal

Row = dict[str, str | None]
"""A row: each value as PostgreSQL writes it as text."""

_BYTES = re.compile(r"\\x([0-9a-f]*)", re.ASCII)


def _call(row: Row) -> str:
    return f"gateway_call:{ids.show(ids.GATEWAY_CALL, UUID(row['id']))}:url"


SEALED: Final[Mapping[tuple[str, str], Callable[[Row], str]]] = {
    ("gateway_account", "signing_secrets"): lambda row: f"gateway_account:{row['id']}:signing",
    ("gateway_account", "api_key"): lambda row: f"gateway_account:{row['id']}:api_key",
    ("tenant_user", "totp_secret"): lambda row: f"tenant_user:{row['id']}:totp",
    ("alert_channel", "url"): lambda row: f"alert_channel:{row['id']}",
    ("gateway_call", "url"): _call,
    ("idempotency_answer", "body"): lambda row: "idempotency:{tenant_id}:{holder}:{route}:{key}".format(**row),
}
"""What each sealed column is bound to, told from its row. A list of secrets is a list there as well."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The key of one installation; None where secrets are left out."""

    seal: Seal | None

    def opened(self, table: str, row: Row) -> Row:
        """Return a row with its secrets readable, or without them. Raises SecretKeyWrong."""
        for name, purpose in _of(table, row):
            row[name] = None if self.seal is None else _opened(self.seal, row[name] or "", purpose)
        return row

    def sealed(self, table: str, row: Row) -> Row:
        """Return a row that was opened, with its secrets sealed for this installation."""
        assert self.seal is not None
        for name, purpose in _of(table, row):
            row[name] = _sealed(self.seal, row[name] or "", purpose)
        return row


def has_secrets(table: str) -> bool:
    return any(of == table for of, _ in SEALED)


def _of(table: str, row: Row) -> list[tuple[str, str]]:
    return [(name, purpose(row)) for (of, name), purpose in SEALED.items() if of == table and row.get(name) is not None]


def _opened(seal: Seal, text: str, purpose: str) -> str:
    found = [seal.open(bytes.fromhex(each), purpose=purpose) for each in _BYTES.findall(text)]
    return json.dumps(found) if text.startswith("{") else found[0]


def _sealed(seal: Seal, text: str, purpose: str) -> str:
    if not purpose.endswith(":signing"):
        return "\\x" + seal.seal(text, purpose=purpose).hex()
    each = [f'"\\\\x{seal.seal(secret, purpose=purpose).hex()}"' for secret in json.loads(text)]
    return "{" + ",".join(each) + "}"
