"""The example Dags, in a checkout of its own for each module: runs leave what others published alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from running import api_server as api_server
from running import callbacks_as_on_a_worker as callbacks_as_on_a_worker
from running import run_dag as run_dag

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def copied(metadata_database: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The example Dags by their ids, to run."""
    from airflow_versions import dag_bag

    project = tmp_path_factory.mktemp("project")
    for folder in ("dags", "data"):
        shutil.copytree(ROOT / folder, project / folder)
    bag = dag_bag(project / "dags")
    assert bag.import_errors == {}
    return bag.dags
