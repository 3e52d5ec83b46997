"""A real server that speaks S3, in a process of its own."""

import socket
import subprocess
import sys
import time
import urllib.request

from bursar.backups.buckets import Bucket
from bursar.kernel.postgres.ports import free_port


class S3:
    """A process that speaks S3."""

    def __init__(self) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self._process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-p", self.url.rpartition(":")[2]],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", int(self.url.rpartition(":")[2])), 1).close()
                break
            except OSError:
                assert time.monotonic() < deadline, "the S3 server does not start"
                time.sleep(0.05)
        self.ask("/kept", method="PUT")

    @property
    def bucket(self) -> Bucket:
        return Bucket("s3://kept/of/bursar", self.url, access_key="AKIAKNOWN", secret_key="very-secret")

    def ask(self, path: str, *, method: str, data: bytes = b"") -> None:
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("authorization", "AWS4-HMAC-SHA256 Credential=AKIAKNOWN/20261121/us-east-1/s3/aws4_request")
        request.add_header("content-type", "text/plain")
        urllib.request.urlopen(request, timeout=30).close()

    def revoke(self, *, after: int = 0) -> None:
        """Know no credentials any more. after: so many requests."""
        self.ask("/moto-api/reset-auth", method="POST", data=str(after).encode())

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
