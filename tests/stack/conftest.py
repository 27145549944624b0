"""The stack of docker-compose.yaml, one for all tests here: each module starts it the way that it needs.

Beside it an S3 server, with the bucket `customers` and a connection to it.
"""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from browser import browser as browser
from local_airflow import HOST
from made.stack import Stack
from moto.server import ThreadedMotoServer
from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A stack of which nothing runs yet; PostgreSQL and Redis run from the first `up` to the end."""
    with tempfile.TemporaryDirectory(prefix="segmentation-stack-") as home:
        Path(home).chmod(0o755)  # PostgreSQL runs as another user
        stack = Stack(Path(home))
        with stack:
            yield stack


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """An S3 server's URL."""
    server = ThreadedMotoServer(ip_address=HOST, port=0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture(scope="session")
def connection(endpoint: str) -> dict[str, str]:
    """A connection to the S3 server, as Airflow's REST API takes it, with a secret that nobody may see."""
    extra = json.dumps({"endpoint_url": endpoint, "region_name": "us-east-1"})
    return {
        "connection_id": "object_storage",
        "conn_type": "aws",
        "login": "airflow",
        "password": secrets.token_urlsafe(30),
        "extra": extra,
    }


@pytest.fixture(scope="session")
def s3(endpoint: str, connection: dict[str, str]) -> Any:
    """A client of the S3 server, whose one bucket keeps every version of every object."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=connection["login"],
        aws_secret_access_key=connection["password"],
        region_name="us-east-1",
    )
    client.create_bucket(Bucket="customers")
    client.put_bucket_versioning(Bucket="customers", VersioningConfiguration={"Status": "Enabled"})
    return client


@pytest.fixture
def connected(s3: Any, connection: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection in this process, too."""
    fields = {name: value for name, value in connection.items() if name != "connection_id"}
    monkeypatch.setenv("AIRFLOW_CONN_OBJECT_STORAGE", json.dumps(fields))


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window of nobody: not logged in."""
    context = browser.new_context(viewport={"width": 1500, "height": 1000})
    yield context.new_page()
    context.close()
