"""Files of evidence: which kinds a bank reads, known by how they begin and not by what they are called. Pure."""

import base64
import binascii
import re
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Literal, get_args

from bursar.kernel.errors import FieldError, Invalid
from bursar.money.gateways.calls import FILE_BYTES_MAX, EvidenceFile

ContentType = Literal["application/pdf", "image/jpeg", "image/png"]
CONTENT_TYPES: Final[tuple[ContentType, ...]] = get_args(ContentType)

# Source: ISO 32000-2, 7.5.2; ITU-T T.81, B.1; ISO/IEC 15948, 5.2.
_BEGINS: Final[dict[ContentType, bytes]] = {
    "application/pdf": b"%PDF-",
    "image/jpeg": b"\xff\xd8\xff",
    "image/png": b"\x89PNG\r\n\x1a\n",
}
_ENDINGS: Final[dict[ContentType, tuple[str, ...]]] = {
    "application/pdf": (".pdf",),
    "image/jpeg": (".jpg", ".jpeg"),
    "image/png": (".png",),
}
_UNFIT: Final = re.compile(r"[^\w .()-]+")
_STEM_MAX: Final = 80


class EvidenceFileInvalid(Invalid):
    """The file is not one that a bank takes: too large, empty, or neither a PDF nor a JPEG nor a PNG."""

    code = "evidence_file_invalid"


@dataclass(frozen=True, slots=True)
class File:
    """A file of evidence that was looked at. filename: with the ending that its content has."""

    name: EvidenceFile
    filename: str
    content_type: ContentType
    content: bytes = field(repr=False)

    @property
    def sha256(self) -> bytes:
        return sha256(self.content).digest()


def file_of(name: EvidenceFile, *, filename: str, content: bytes, content_type: str | None = None) -> File:
    """Return a file that a bank takes. content_type: what whoever sends it says; None: what it is.

    Raises EvidenceFileInvalid.
    """
    if not content:
        raise _invalid(name, "is empty", "Send the file's own bytes.")
    if len(content) > FILE_BYTES_MAX:
        raise _invalid(name, f"is larger than {FILE_BYTES_MAX} bytes", "Send fewer pages, or smaller pictures.")
    found = next((kind for kind, begins in _BEGINS.items() if content.startswith(begins)), None)
    if found is None:
        raise _invalid(
            name, "is neither a PDF nor a JPEG nor a PNG", "Save it as one of them; its ending does not matter."
        )
    if content_type not in (None, found):
        raise _invalid(name, f"is {found}, not what was said of it", f"Send it with content_type {found}.")
    return File(name, _named(filename, found), found, content)


def decoded(name: EvidenceFile, text: str) -> bytes:
    """Return what base64 says. Raises EvidenceFileInvalid."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _invalid(
            name, "is not base64", "Encode the file's bytes as RFC 4648, section 4, without line breaks."
        ) from error


def check_sizes(files: tuple[File, ...]) -> None:
    """Raises EvidenceFileInvalid for more than gateways take together."""
    if sum(len(each.content) for each in files) > FILE_BYTES_MAX:
        raise EvidenceFileInvalid(
            f"the files are larger than {FILE_BYTES_MAX} bytes together",
            hint="Banks take 4.5 MB of evidence in all. Send fewer pages, or smaller pictures.",
            context={"bytes_max": FILE_BYTES_MAX},
        )


def _named(filename: str, kind: ContentType) -> str:
    """Return a name that is safe to show and has the ending that gateways go by."""
    plain = _UNFIT.sub("_", filename.replace("\\", "/").rpartition("/")[2]).strip(" ._")
    ending = next((ending for ending in _ENDINGS[kind] if plain.lower().endswith(ending)), None)
    if ending is None:
        return (plain[:_STEM_MAX] or "evidence") + _ENDINGS[kind][0]
    return (plain[: -len(ending)][:_STEM_MAX].strip(" ._") or "evidence") + ending


def _invalid(name: EvidenceFile, what: str, hint: str) -> EvidenceFileInvalid:
    wrong = FieldError(f"files.{name.value}", "invalid", what)
    return EvidenceFileInvalid(f"the file {name.value} {what}", hint=hint, fields=(wrong,))
