"""What every test stands on: an Airflow home of its own, set before anything imports Airflow."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from wheel import installed as installed
from wheel import wheel as wheel

ROOT = Path(__file__).resolve().parents[1]

_home = tempfile.TemporaryDirectory(prefix="segmentation-tests-")
for name in [name for name in os.environ if name.startswith("AIRFLOW__")]:
    del os.environ[name]  # the developer's own Airflow is not under test
os.environ |= {
    "AIRFLOW_HOME": _home.name,
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__PARALLELISM": "2",
    # Tests leave their files in all kinds of places; those about paths set what they allow.
    "AIRFLOW__SEGMENTATION__ALLOWED_PATHS": "*",
    "AIRFLOW__SEGMENTATION__STORAGE_PATH": f"{_home.name}/segmentation",
}

# A machine may be busy: how long a case takes tells nothing.
settings.register_profile("tests", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tests")
# For scripts/mutants.py: the same cases each time, and none made smaller once it has failed.
settings.register_profile(
    "mutants", derandomize=True, database=None, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    """The folder that Airflow writes to in this test session."""
    return Path(_home.name)


@pytest.fixture(scope="session")
def metadata_database(airflow_home: Path) -> None:
    """A migrated SQLite metadata database in the home of this test session."""
    from airflow.utils import db

    db.initdb()
