"""Gateway accounts as their owners set them up: added, listed, and given new signing secrets without a gap.

Secrets are sealed with the installation's key, bound to their account, and never shown again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, FieldError, Invalid, NotFound
from bursar.kernel.listing import Listing, Part, Slice, part
from bursar.kernel.seal import Seal
from bursar.money.gateways import SecretInvalid, gateway
from bursar.money.gateways.calling import Credentials
from bursar.money.intake.addresses import check_base_url
from bursar.money.intake.directory import signing_purpose

SECRETS_MAX: Final = 5
SECRET_LENGTH_MAX: Final = 500
UNSIGNED: Final = frozenset({"manual"})
"""Gateways that nobody outside delivers for."""


class GatewayAccountNotFound(NotFound):
    """No gateway account of this tenant has this id."""

    code = "gateway_account_not_found"


class SigningSecretMissing(Invalid):
    """An account whose deliveries are signed needs at least one signing secret."""

    code = "signing_secret_missing"


class SigningSecretsTooMany(Conflict):
    """An account has at most five signing secrets."""

    code = "signing_secrets_too_many"


class GatewayNotForProduction(Invalid):
    """The sandbox takes no real money, so a production installation refuses it."""

    code = "gateway_not_for_production"


class GatewayKeyMissing(Conflict):
    """The account has no API key, so its gateway cannot be asked for anything."""

    code = "gateway_key_missing"


@dataclass(frozen=True, slots=True)
class AccountView:
    """signing_secrets: how many are in force. has_api_key: whether missing reports can be fetched.

    deliveries_per_minute: how many validly signed ones are taken; None: all.
    base_url: where its gateway is; None: at its own address.
    """

    id: UUID
    gateway: str
    name: str
    signing_secrets: int
    has_api_key: bool
    tolerance_s: int
    deliveries_per_minute: int | None
    base_url: str | None
    is_active: bool
    created_at: datetime


_COLUMNS = """a.id, a.gateway, a.name, cardinality(a.signing_secrets) as signing_secrets,
  a.api_key is not null as has_api_key, a.tolerance_s, a.deliveries_per_minute, a.base_url, a.is_active, a.created_at"""

_ACCOUNT = f"select {_COLUMNS} from gateway_account a where a.tenant_id = $1 and a.id = $2"

ACCOUNTS = Listing(
    select=f"select {_COLUMNS} from gateway_account a",
    tenant="a.tenant_id",
    key="a.id",
    filters={"gateway": "a.gateway = {}"},
)

_ADD = """
insert into gateway_account (tenant_id, id, gateway, name, signing_secrets, api_key, tolerance_s, deliveries_per_minute, base_url)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""

_CREDENTIALS = "select gateway, api_key, base_url from gateway_account where tenant_id = $1 and id = $2"
_SECRETS = "select gateway, signing_secrets from gateway_account where tenant_id = $1 and id = $2 for update"
_SET_SECRETS = """
update gateway_account set signing_secrets = $3, api_key = coalesce($4, api_key) where tenant_id = $1 and id = $2
"""


def api_key_purpose(account_id: UUID) -> str:
    """Return what a sealed gateway API key is bound to."""
    return f"gateway_account:{account_id}:api_key"


async def add_account(
    tx: Transaction,
    *,
    tenant_id: UUID,
    gateway_name: str,
    name: str,
    signing_secrets: Sequence[str],
    api_key: str | None,
    tolerance_s: int,
    seal: Seal,
    actor: str,
    deliveries_per_minute: int | None = None,
    base_url: str | None = None,
    is_production: bool = False,
) -> AccountView:
    """Add an account of a gateway.

    Raises GatewayUnknown, SecretInvalid, SigningSecretMissing, SigningSecretsTooMany, GatewayNotForProduction,
    BaseUrlInvalid.
    """
    adapter = gateway(gateway_name)
    if is_production and gateway_name == "sandbox":
        raise GatewayNotForProduction("the sandbox takes no real money", hint="Use a real gateway.")
    if base_url is not None:
        base_url = check_base_url(base_url, gateway_name=gateway_name, is_production=is_production)
    secrets = list(dict.fromkeys(signing_secrets))
    for index, secret in enumerate(secrets):
        _check(adapter, secret, field=f"signing_secrets.{index}")
    if not secrets and gateway_name not in UNSIGNED:
        raise SigningSecretMissing(
            f"deliveries of {gateway_name} are signed", hint="Pass the endpoint's signing secret."
        )
    if len(secrets) > SECRETS_MAX:
        raise _too_many()
    account_id = ids.new()
    sealed = [seal.seal(secret, purpose=signing_purpose(account_id)) for secret in secrets]
    sealed_key = seal.seal(api_key, purpose=api_key_purpose(account_id)) if api_key else None
    await tx.execute(
        _ADD,
        tenant_id,
        account_id,
        gateway_name,
        name,
        sealed,
        sealed_key,
        tolerance_s,
        deliveries_per_minute,
        base_url,
    )
    changes = {"gateway": gateway_name, "name": name, "signing_secrets": len(secrets), "has_api_key": bool(api_key)}
    await audit.record(
        tx,
        tenant_id=tenant_id,
        actor=actor,
        action="gateway_account.added",
        subject=ids.show(ids.GATEWAY_ACCOUNT, account_id),
        changes=changes | ({"base_url": base_url} if base_url else {}),
    )
    return await account(tx, tenant_id=tenant_id, account_id=account_id)


async def rotate_secrets(
    tx: Transaction,
    *,
    tenant_id: UUID,
    account_id: UUID,
    add: Sequence[str],
    remove: Sequence[str],
    seal: Seal,
    actor: str,
    api_key: str | None = None,
) -> AccountView:
    """Put secrets in force and take others out of it; both count while both are there.

    A secret that is there already, or not there any more, changes nothing. api_key: what the gateway is called with
    from now on; None: as before.
    Raises GatewayAccountNotFound, SecretInvalid, SigningSecretMissing, SigningSecretsTooMany.
    """
    row = await tx.fetchrow(_SECRETS, tenant_id, account_id)
    if row is None:
        raise _unknown(account_id)
    for index, secret in enumerate(add):
        _check(gateway(row["gateway"]), secret, field=f"add.{index}")
    purpose = signing_purpose(account_id)
    before = {seal.open(sealed, purpose=purpose): sealed for sealed in row["signing_secrets"]}
    after = {secret: sealed for secret, sealed in before.items() if secret not in remove}
    after |= {secret: seal.seal(secret, purpose=purpose) for secret in add if secret not in after}
    if not after and row["gateway"] not in UNSIGNED:
        raise SigningSecretMissing("the last signing secret cannot be removed", hint="Add a new one first.")
    if len(after) > SECRETS_MAX:
        raise _too_many()
    sealed_key = seal.seal(api_key, purpose=api_key_purpose(account_id)) if api_key else None
    await tx.execute(_SET_SECRETS, tenant_id, account_id, list(after.values()), sealed_key)
    changes = {
        "added": len(after.keys() - before.keys()),
        "removed": len(before.keys() - after.keys()),
        "signing_secrets": {"before": len(before), "after": len(after)},
    }
    await audit.record(
        tx,
        tenant_id=tenant_id,
        actor=actor,
        action="gateway_account.secrets_rotated",
        subject=ids.show(ids.GATEWAY_ACCOUNT, account_id),
        changes=changes | ({"api_key": "replaced"} if api_key else {}),
    )
    return await account(tx, tenant_id=tenant_id, account_id=account_id)


async def account(tx: Transaction, *, tenant_id: UUID, account_id: UUID) -> AccountView:
    """Return an account. Raises GatewayAccountNotFound."""
    row = await tx.fetchrow(_ACCOUNT, tenant_id, account_id)
    if row is None:
        raise _unknown(account_id)
    return _view(row)


async def accounts(
    tx: Transaction, *, tenant_id: UUID, page: Slice, gateway_name: str | None = None
) -> Part[AccountView]:
    """Return the tenant's accounts, newest first."""
    return await part(tx, ACCOUNTS, tenant_id=tenant_id, given={"gateway": gateway_name}, page=page, view=_view)


async def credentials(
    tx: Transaction, *, tenant_id: UUID, account_id: UUID, seal: Seal, is_production: bool
) -> tuple[str, Credentials]:
    """Return the name of an account's gateway and what opens it. The address is checked again.

    Raises GatewayAccountNotFound, GatewayKeyMissing, BaseUrlInvalid.
    """
    row = await tx.fetchrow(_CREDENTIALS, tenant_id, account_id)
    if row is None:
        raise _unknown(account_id)
    if row["api_key"] is None:
        raise GatewayKeyMissing(
            f"{ids.show(ids.GATEWAY_ACCOUNT, account_id)} has no API key", hint="Rotate its secrets with an api_key."
        )
    url: str | None = row["base_url"]
    if url is not None:
        url = check_base_url(url, gateway_name=row["gateway"], is_production=is_production)
    api_key = seal.open(row["api_key"], purpose=api_key_purpose(account_id))
    return row["gateway"], Credentials(api_key=api_key, base_url=url)


def webhook_url(base: str, account_id: UUID) -> str:
    """Return the address that the gateway delivers to. base: the installation's public address."""
    return f"{base.rstrip('/')}/v1/webhooks/{ids.show(ids.GATEWAY_ACCOUNT, account_id)}"


def _check(adapter: Any, secret: str, *, field: str) -> None:
    if len(secret) > SECRET_LENGTH_MAX:
        wrong = FieldError(field, "too_long", f"at most {SECRET_LENGTH_MAX} characters")
        raise SecretInvalid("the signing secret is too long", fields=(wrong,))
    try:
        adapter.check_secret(secret)
    except SecretInvalid as error:
        wrong = FieldError(field, "invalid", error.message)
        raise SecretInvalid(error.message, hint=error.hint, fields=(wrong,)) from error


def _view(row: Any) -> AccountView:
    return AccountView(**{name: row[name] for name in AccountView.__dataclass_fields__})


def _unknown(account_id: UUID) -> GatewayAccountNotFound:
    return GatewayAccountNotFound(f"there is no gateway account {ids.show(ids.GATEWAY_ACCOUNT, account_id)}")


def _too_many() -> SigningSecretsTooMany:
    return SigningSecretsTooMany(f"an account has at most {SECRETS_MAX} signing secrets", hint="Remove one first.")
