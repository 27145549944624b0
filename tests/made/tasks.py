"""What the operators need of a running task instance, for tests that need no Airflow around it."""

from __future__ import annotations


class Task:
    """A task instance that keeps what is pushed."""

    def __init__(self, task_id: str) -> None:
        self.dag_id, self.run_id, self.task_id, self.map_index = "made", "run", task_id, -1
        self.pushed: dict[str, object] = {}

    def xcom_push(self, key: str, value: object) -> None:
        """Keep an XCom."""
        self.pushed[key] = value
