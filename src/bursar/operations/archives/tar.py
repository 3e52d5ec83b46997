"""The file of an archive: a tar of small parts, so that nothing has to be whole in memory on either side."""

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Final

from bursar.operations.archives.models import ArchiveDamaged

MEMBER_BYTES_MAX: Final = 128 * 1024 * 1024
_PIECE: Final = 1024 * 1024

END: Final = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True, slots=True)
class Member:
    """A file of the archive. file: to be read before the next one is asked for."""

    name: str
    size: int
    file: IO[bytes]


def member(name: str, content: bytes, at: datetime) -> bytes:
    """Return a file as it stands in a tar."""
    told = tarfile.TarInfo(name)
    told.size, told.mode, told.mtime = len(content), 0o600, int(at.timestamp())
    return told.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % tarfile.BLOCKSIZE)


def members(file: IO[bytes]) -> Iterator[Member]:
    """Walk through a tar to its end. Raises ArchiveDamaged."""
    try:
        with tarfile.open(fileobj=file, mode="r|") as archive:
            for each in archive:
                archive.members = []  # type: ignore[attr-defined]  # or it would remember them all
                content = archive.extractfile(each) if each.isreg() else None
                if content is None or each.size > MEMBER_BYTES_MAX:
                    raise ArchiveDamaged(f"the archive holds {each.name[:100]!r}, which does not belong there")
                yield Member(each.name, each.size, content)
    except (tarfile.TarError, EOFError) as error:
        raise ArchiveDamaged(f"the archive cannot be unpacked: {error}") from None
    while file.read(_PIECE):
        pass
