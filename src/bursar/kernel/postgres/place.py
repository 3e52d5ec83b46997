"""Where the server's files lie: in the instance's directory, or elsewhere when its user cannot get there.

As root the server runs as another user, who cannot pass through a directory such as /root (0700). Parents are
never opened for it; the files go to a directory of their own under /var/lib/bursar instead.
"""

import os
import secrets
import shutil
import subprocess
from pathlib import Path

from bursar.kernel.errors import Unavailable
from bursar.kernel.postgres.account import Account
from bursar.kernel.postgres.binaries import tree_of

ELSEWHERE = Path("/var/lib/bursar")


class NoPlace(Unavailable):
    """There is no directory in which the server's user could keep its files."""

    code = "postgres_place_missing"


def place_for(directory: Path, account: Account) -> Path:
    """Return the directory that shall hold the server's data: `directory`, or a new one elsewhere. Raises: NoPlace."""
    if _reaches(account, directory):
        return directory
    if _is_ours(directory):
        # Ours alone, so it may be made passable; what lies in it keeps its own, narrower modes.
        directory.chmod(directory.stat().st_mode | 0o011)
        if _reaches(account, directory):
            return directory
    return _elsewhere(directory, account)


def reachable_bin(bin_dir: Path, place: Path, account: Account) -> Path:
    """Return `bin_dir` if the account can run it from there, else a copy of it under `place`."""
    if not account.is_other or _reaches(account, bin_dir):
        return bin_dir
    source = bin_dir / "postgres"
    mark = source.stat()
    copy = place / f"postgres-programs-{mark.st_size:x}-{mark.st_mtime_ns:x}"
    if not copy.exists():
        _copy(bin_dir, copy)
    return copy / bin_dir.parent.parent.name / bin_dir.parent.name / bin_dir.name


def _copy(bin_dir: Path, copy: Path) -> None:
    waiting = copy.with_name(f"{copy.name}.{secrets.token_hex(8)}")
    waiting.mkdir(mode=0o755)
    trees = tree_of(bin_dir)
    for tree in trees:
        target = waiting / (tree.relative_to(trees[0].parent.parent))
        shutil.copytree(tree, target, symlinks=True)
    for path in (waiting, *waiting.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    waiting.replace(copy)


def _elsewhere(directory: Path, account: Account) -> Path:
    place = ELSEWHERE / secrets.token_hex(8)
    try:
        for made in (ELSEWHERE, place):
            if not made.exists():
                made.mkdir(parents=True)
                made.chmod(0o755)
    except OSError as error:
        raise NoPlace(
            f"user {account.name}, who runs PostgreSQL, cannot reach {directory}, and {ELSEWHERE} cannot be made",
            hint="Choose a directory all users can pass through, for instance --data /srv/bursar.",
        ) from error
    if not _reaches(account, place):
        raise NoPlace(
            f"user {account.name}, who runs PostgreSQL, can reach neither {directory} nor {ELSEWHERE}",
            hint="Choose a directory all users can pass through, for instance --data /srv/bursar.",
        )
    return place


def _is_ours(directory: Path) -> bool:
    return directory.stat().st_uid == os.geteuid()


def _reaches(account: Account, directory: Path) -> bool:
    """Try it as that user: modes alone do not tell of access lists, mounts and security modules."""
    if not account.is_other:
        return True
    answer = subprocess.run(  # noqa: S603 - fixed program, the path is an argument
        ["/bin/sh", "-c", 'cd "$0"', str(directory)], cwd="/", capture_output=True, check=False, **account.identity
    )
    return answer.returncode == 0
