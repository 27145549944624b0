"""Where Airflow's versions differ in what tests need of its insides. The plugin needs none of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

try:
    from airflow.dag_processing.dagbag import DagBag as DagBag
except ImportError:  # Airflow 3.1
    from airflow.models.dagbag import DagBag as DagBag  # type: ignore[attr-defined, no-redef]

if TYPE_CHECKING:
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from sqlalchemy.orm import Session


def write_dag_models(bundle: str, dag: LazyDeserializedDAG, session: Session) -> None:
    """Write what Airflow knows of a Dag besides its serialized form, as its Dag processor does."""
    serialized: Any
    try:
        from airflow.serialization.definitions.dag import SerializedDAG as serialized
    except ImportError:  # Airflow 3.1
        from airflow.serialization.serialized_objects import SerializedDAG as serialized
    serialized.bulk_write_to_db(bundle, None, [dag], session=session)
