"""What a cluster must remember between starts: its passwords, its port and where its data lies."""

import secrets
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bursar.kernel.files import read_json, write_private_json


@dataclass(frozen=True, slots=True)
class State:
    """Kept in `postgres.json`, readable by its owner only. port 0: none chosen yet."""

    superuser_password: str
    app_password: str
    place: str = ""
    port: int = 0
    initialised: bool = False

    def url(self, role: str, database: str) -> str:
        password = self.superuser_password if role == SUPERUSER else self.app_password
        return f"postgresql://{role}:{password}@127.0.0.1:{self.port}/{database}"


SUPERUSER = "postgres"
APP_ROLE = "bursar_app"
DATABASE = "bursar"


class Memory:
    """The state of one cluster and the file it is kept in."""

    def __init__(self, path: Path) -> None:
        self._path = path
        kept = read_json(path)
        self.state = State(**kept) if kept else State(secrets.token_hex(24), secrets.token_hex(24))

    def keep(self, **changes: str | int | bool) -> None:
        """Change the state and write it down before anybody relies on it."""
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
        write_private_json(self._path, asdict(self.state))
