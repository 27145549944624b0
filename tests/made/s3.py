"""An S3 server that can be taken away, with the bucket `customers` and a connection to it."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

BUCKET = "customers"

# In a process of its own: one that a test forks would hold on to the port. What the server holds, the process
# keeps while the server is away.
SERVE = """
import sys
from moto.server import ThreadedMotoServer
port = 0
while True:
    server = ThreadedMotoServer(sys.argv[1], port, verbose=False)
    server.start()
    port = server.get_host_and_port()[1]
    print(port, flush=True)
    if not sys.stdin.readline():
        break
    server.stop()
    print("away", flush=True)
    if not sys.stdin.readline():
        break
"""


class S3Server:
    """A server that is there from the start; nobody answers at its address while it is away."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVE, host],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.url = f"http://{host}:{self._told()}"

    def take_away(self) -> None:
        """Refuse connections from now on; all that is stored stays."""
        self._tell()
        assert self._told() == "away"

    def bring_back(self) -> None:
        """Answer again."""
        self._tell()
        assert self.url.endswith(f":{self._told()}")

    def stop(self) -> None:
        """End the server, and forget what it holds."""
        self._process.communicate()

    def _tell(self) -> None:
        assert self._process.stdin is not None
        print(file=self._process.stdin, flush=True)

    def _told(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """An S3 server."""
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def connection(s3_server: S3Server) -> dict[str, str]:
    """A connection to the S3 server, as Airflow's REST API takes it, with a secret that nobody may see."""
    extra = json.dumps({"endpoint_url": s3_server.url, "region_name": "us-east-1"})
    return {
        "connection_id": "object_storage",
        "conn_type": "aws",
        "login": "airflow",
        "password": secrets.token_urlsafe(30),
        "extra": extra,
    }


@pytest.fixture(scope="session")
def s3(s3_server: S3Server, connection: dict[str, str]) -> Any:
    """A client of the S3 server, whose one bucket keeps every version of every object."""
    client = boto3.client(
        "s3",
        endpoint_url=s3_server.url,
        aws_access_key_id=connection["login"],
        aws_secret_access_key=connection["password"],
        region_name="us-east-1",
    )
    client.create_bucket(Bucket=BUCKET)
    client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return client


@pytest.fixture
def connected(s3: Any, connection: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection in this process, too."""
    fields = {name: value for name, value in connection.items() if name != "connection_id"}
    monkeypatch.setenv("AIRFLOW_CONN_OBJECT_STORAGE", json.dumps(fields))
