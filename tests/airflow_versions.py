"""Where Airflow's versions differ in what tests need of its insides. The plugin needs none of it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun
    from airflow.serialization.serialized_objects import LazyDeserializedDAG
    from sqlalchemy.orm import Session


def dag_bag(folder: Path) -> Any:
    """Return the Dags of a folder, as Airflow's Dag processor reads them."""
    try:
        module = import_module("airflow.dag_processing.dagbag")
    except ImportError:  # Airflow 3.1
        module = import_module("airflow.models.dagbag")
    return module.DagBag(folder)


def loaded_plugins() -> tuple[list[Any], dict[str, str]]:
    """Return the plugins of this process, and the errors of those that could not be loaded."""
    manager = import_module("airflow.plugins_manager")
    manager.ensure_plugins_loaded()
    if hasattr(manager, "_get_plugins"):
        return manager._get_plugins()
    return manager.plugins, manager.import_errors  # Airflow 3.1


def external_views() -> list[dict[str, Any]]:
    """Return the tabs of all plugins."""
    manager = import_module("airflow.plugins_manager")
    if hasattr(manager, "_get_ui_plugins"):
        return manager._get_ui_plugins()[0]
    manager.initialize_ui_plugins()  # Airflow 3.1
    return manager.external_views


def appbuilder_views() -> list[dict[str, Any]]:
    """Return the Flask-AppBuilder views of all plugins."""
    manager = import_module("airflow.plugins_manager")
    if hasattr(manager, "get_flask_plugins"):
        return manager.get_flask_plugins()[1]
    manager.initialize_flask_plugins()  # Airflow 3.1
    return manager.flask_appbuilder_views


def load_operator_links() -> None:
    """Load the operator links of all plugins, as a worker does."""
    manager = import_module("airflow.plugins_manager")
    if hasattr(manager, "get_operator_extra_links"):
        manager.get_operator_extra_links()
    else:
        manager.initialize_extra_operators_links_plugins()  # Airflow 3.1


def refusal(uri: str) -> str:
    """Return what Airflow says of a URI of a storage that there is not."""
    from airflow.sdk import ObjectStoragePath

    with pytest.raises(ValueError) as caught:  # noqa: PT011  # its words are what is asked for
        ObjectStoragePath(uri).fs  # noqa: B018  # Airflow 3.1 says nothing before
    return str(caught.value)


def write_dag_models(bundle: str, dag: LazyDeserializedDAG, session: Session) -> None:
    """Write what Airflow knows of a Dag besides its serialized form, as its Dag processor does."""
    serialized: Any
    try:
        from airflow.serialization.definitions.dag import SerializedDAG as serialized
    except ImportError:  # Airflow 3.1
        from airflow.serialization.serialized_objects import SerializedDAG as serialized
    serialized.bulk_write_to_db(bundle, None, [dag], session=session)


def config_list_with_values() -> list[str]:
    """Return the command that lists settings with their values, which Airflow 3.1 always shows."""
    cli = import_module("airflow.cli.cli_config")
    return ["config", "list", *(["--show-values"] if hasattr(cli, "ARG_CONFIG_SHOW_VALUES") else [])]


def write_xcom(session: Session, run: DagRun, task: tuple[str, int], key: str, value: Any) -> None:
    """Write an XCom as the task execution API does: a JSON value as it is."""
    from airflow.models.xcom import XComModel
    from sqlalchemy import delete, insert

    ids: dict[str, Any] = {"dag_id": run.dag_id, "run_id": run.run_id}
    row: dict[str, Any] = {"task_id": task[0], "map_index": task[1], "key": key}
    if hasattr(XComModel, "set_for_attempt"):
        XComModel.set(**ids, **row, value=value, serialize=False, session=session)
        return
    # Before Airflow 3.4, what is set so would be serialized, and kept as text.
    session.execute(delete(XComModel).filter_by(dag_run_id=run.id, **row))
    session.execute(insert(XComModel).values(dag_run_id=run.id, **row, **ids, value=value))


def tell_callbacks_what_was_raised(patch: pytest.MonkeyPatch) -> None:
    """Have `dag.test` put the exception into a callback's context, as a worker does.

    Airflow 3.1's and 3.2's leaves it out.
    """
    from airflow.sdk.execution_time import task_runner

    finalize = task_runner.finalize

    def finalize_as_a_worker_does(
        ti: Any, state: Any, context: Any, log: Any, error: BaseException | None = None
    ) -> None:
        context["exception"] = error
        finalize(ti, state, context, log, error)

    patch.setattr(task_runner, "finalize", finalize_as_a_worker_does)
