"""Uploaded files: what they are called and how large they are. What is in them is not kept."""

import io
from dataclasses import dataclass
from typing import Any, Final

from python_multipart import parse_form
from python_multipart.exceptions import FormParserError

from bursar.money.gateways.fields import Json
from bursar.sandbox import shapes
from bursar.sandbox.forms import Params, nested
from bursar.sandbox.refusals import invalid
from bursar.sandbox.work import Work

EVIDENCE_BYTES_MAX: Final = 5 * 1_000_000
_EVIDENCE: Final = ("jpg", "jpeg", "pdf", "png")
_PURPOSES: Final = (
    *("account_requirement", "additional_verification", "business_icon", "business_logo", "customer_signature"),
    *(
        "dispute_evidence",
        "identity_document",
        "pci_document",
        "tax_document_user_upload",
        "terminal_reader_splashscreen",
    ),
)


@dataclass(frozen=True, slots=True)
class Upload:
    """A file of a request."""

    filename: str
    size: int


def create(work: Work, params: Params) -> Json:
    """POST /v1/files"""
    purpose = params.need("purpose", among=_PURPOSES)
    upload = params.raw("file")
    if not isinstance(upload, Upload):
        raise invalid("Missing required param: file.", param="file", code="parameter_missing")
    params.accept("file_link_data")
    made = shapes.file(work.now, filename=upload.filename, purpose=purpose, size=upload.size, base=work.asked.base)
    if purpose == "dispute_evidence":
        if made["type"] not in _EVIDENCE:
            raise invalid("Evidence files must be JPEG, PNG or PDF.", param="file")
        if not 0 < upload.size <= EVIDENCE_BYTES_MAX:
            raise invalid("Evidence files must be smaller than 5 MB, and not empty.", param="file")
    return work.save(made)


def parts(content_type: str, body: bytes) -> Json:
    """Return the parameters of a multipart body. Raises Refusal."""
    pairs: list[tuple[str, str]] = []
    uploads: Json = {}

    def on_field(field: Any) -> None:
        pairs.append(((field.field_name or b"").decode(), (field.value or b"").decode()))

    def on_file(file: Any) -> None:
        name = (file.field_name or b"").decode()
        uploads[name] = Upload((file.file_name or b"").decode() or "file", file.size)
        file.close()

    try:
        parse_form({"Content-Type": content_type.encode()}, io.BytesIO(body), on_field, on_file)
    except (FormParserError, UnicodeDecodeError, ValueError) as error:
        raise invalid("The body is not a form of several parts.") from error
    return nested(pairs) | uploads
