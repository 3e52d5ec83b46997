"""PostgreSQL's client programs, as `subprocess` wants them: which, with what environment."""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bursar.kernel.postgres.binaries import BinariesMissing, readable_environment


@dataclass(frozen=True, slots=True)
class Call:
    """arguments, environment: what `subprocess` is given. A password is in the environment, which others cannot read."""

    arguments: list[str]
    environment: dict[str, str]


@dataclass(frozen=True, slots=True)
class Tools:
    """A `bin` directory of PostgreSQL."""

    bin_dir: Path

    def call(self, program: str, *arguments: str, url: str = "", application: str = "bursar") -> Call:
        """Return how to run a program, against the server at `url` if there is one. Raises: BinariesMissing."""
        path = self.bin_dir / program
        if not path.exists():
            raise BinariesMissing(
                f"there is no {program} in {self.bin_dir}",
                hint="Set BURSAR_POSTGRES_BIN to a bin directory of PostgreSQL with its client programs.",
            )
        environment = readable_environment()
        if not url:
            return Call([str(path), *arguments], environment)
        parts = urlsplit(url)
        who, _, where = parts.netloc.rpartition("@")
        user, _, password = who.partition(":")
        environment["PGPASSWORD"] = unquote(password)
        environment["PGAPPNAME"] = application
        bare = parts._replace(netloc=f"{user}@{where}" if user else where).geturl()
        return Call([str(path), *arguments, "--no-password", f"--dbname={bare}"], environment)
