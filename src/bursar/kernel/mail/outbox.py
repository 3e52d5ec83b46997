"""Mail for development: each becomes a file that only its owner reads. Nothing leaves the machine."""

import asyncio
from pathlib import Path

import structlog

from bursar.kernel import ids
from bursar.kernel.files import write_private
from bursar.kernel.mail.port import MailFailed, Message, composed

_log = structlog.get_logger("bursar.mail")


class Outbox:
    """Writes mails into a directory, newest last."""

    def __init__(self, directory: Path, *, sender: str) -> None:
        self._directory = directory
        self._sender = sender

    async def send(self, message: Message) -> None:
        mail = composed(message, sender=self._sender)
        try:
            path = await asyncio.to_thread(self._kept, mail.as_string())
        except OSError as error:
            raise MailFailed(f"the outbox cannot be written: {type(error).__name__}") from error
        _log.info("mail_kept", file=str(path))

    def _kept(self, text: str) -> Path:
        self._directory.mkdir(parents=True, exist_ok=True)
        self._directory.chmod(0o700)
        path = self._directory / f"{ids.encode(ids.new())}.eml"
        write_private(path, text)
        return path
