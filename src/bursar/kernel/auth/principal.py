"""Who acts: a key, a user or an operator of the installation, always for one tenant."""

from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from bursar.kernel import ids, permissions
from bursar.kernel.access import Giver

Kind = Literal["key", "user", "operator"]
_PREFIXES: Final = {"key": ids.API_KEY, "user": ids.USER, "operator": ids.OPERATOR}

NOBODY: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Principal:
    """kind, id: who it is. permissions: what it may do, decided when it was recognised. session_id: of users on pages."""

    tenant_id: UUID
    kind: Kind
    id: UUID
    permissions: frozenset[str]
    session_id: UUID | None = None

    @property
    def actor(self) -> str:
        """How the audit trail names the caller. An operator who came with a printed ticket has no name."""
        if self.kind == "operator" and self.id == NOBODY:
            return "operator"
        return f"{self.kind}:{ids.show(_PREFIXES[self.kind], self.id)}"

    @property
    def giver(self) -> Giver:
        """The caller as one who gives something to others: at most what it has itself. A key's own limits hold too."""
        return Giver(self.actor, self.permissions, self.id if self.kind == "key" else None)

    def require(self, permission: str) -> None:
        """Return if the caller has the permission. Raises PermissionMissing."""
        permissions.require(self.permissions, permission)
