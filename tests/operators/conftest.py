"""What the tests of operators share: Dags that run, and customers to run them on."""

from __future__ import annotations

from pathlib import Path

import pytest
from made.customers import write_customers
from running import api_server as api_server
from running import callbacks_as_on_a_worker as callbacks_as_on_a_worker
from running import run_dag as run_dag


@pytest.fixture
def customers(tmp_path: Path) -> Path:
    """Customers of a test's own."""
    return write_customers(tmp_path)
