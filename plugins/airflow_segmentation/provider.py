"""What Airflow lists of this package as a provider, and the settings in its configuration section."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

SECTION = "segmentation"

OPTIONS: dict[str, dict[str, Any]] = {
    "storage_path": {
        "description": (
            "Where tasks write their tables, in folders by Dag, run and task: a folder or a URI that "
            "ObjectStoragePath opens. All workers must share it.\n"
        ),
        "version_added": "0.1.0",
        "type": "string",
        "example": "s3://aws@bucket/segments",
        "default": "{AIRFLOW_HOME}/segmentation",
    },
    "allowed_paths": {
        "description": (
            "The only places, beside storage_path, that operators read and write: absolute paths and URIs "
            "with commas between, or * for all. Where it is empty, these are the folders data and model "
            "beside the folder of Dags, and data in it.\n"
        ),
        "version_added": "0.1.0",
        "type": "string",
        "example": "/opt/airflow/data, s3://aws@bucket/customers",
        "default": "",
    },
    "max_csv_bytes": {
        "description": "The size of a CSV, decompressed, up to which it is read.\n",
        "version_added": "0.1.0",
        "type": "integer",
        "example": None,
        "default": str(100 << 30),
    },
    "spark_conn_id": {
        "description": (
            "The connection to a Spark cluster, of the type spark_connect, on which operators pass over rows "
            "unless they name another. Where it is empty, workers do that.\n"
        ),
        "version_added": "0.1.0",
        "type": "string",
        "example": "spark",
        "default": "",
    },
    "reports_in_database": {
        "description": (
            "Whether reports, their summaries and the progress of sweeps are written to the metadata "
            "database, where the page reads them, past an XCom backend of your own. A report holds up to "
            "300 rows of the data that was clustered.\n"
        ),
        "version_added": "0.1.0",
        "type": "boolean",
        "example": None,
        "default": "False",
    },
}


def get_provider_info() -> dict[str, Any]:
    """Return what `airflow providers list` and `airflow config list` show of this package."""
    return {
        "package-name": "airflow-segmentation",
        "name": "Segmentation",
        "description": "Customer segmentation: K-Means over every k, the elbow, and a page to decide on.",
        "config": {
            SECTION: {
                "description": "What the Segmentation operators and their page may do, and where.",
                "options": OPTIONS,
            }
        },
    }


def setting(name: str) -> Any:
    """Return a setting of this section.

    Airflow does not always know its default: not in 3.1 before it has loaded its providers, and never where
    this package is no distribution but lies in the plugins folder.
    """
    from airflow.providers.common.compat.sdk import conf

    option = OPTIONS[name]
    home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    default = option["default"].replace("{AIRFLOW_HOME}", str(home))
    read = {"boolean": conf.getboolean, "integer": conf.getint}.get(option["type"], conf.get)
    return read(SECTION, name, fallback=default)
