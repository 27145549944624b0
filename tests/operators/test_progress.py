"""How far a sweep has come, as it tells while it sweeps."""

from __future__ import annotations

import logging
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import numpy as np
from airflow_segmentation.operators import kmeans_sweep
from airflow_segmentation.reports.report import Progress


def test_it_tells_when_it_began_and_how_many_steps_an_earlier_try_had_done(monkeypatch):
    monkeypatch.setattr(kmeans_sweep, "PACE_SECONDS", 0)
    told: list[Progress] = []
    ti = SimpleNamespace(map_index=-1, xcom_push=lambda key, value: told.append(Progress.from_json(value)))
    state: Any = SimpleNamespace(save=lambda _: None)
    context: Any = {"ti": ti}
    reporter = kmeans_sweep._Reporter(context, state, "one", logging.getLogger())

    for done in (8, 9, 10):
        step: Any = SimpleNamespace(
            done=done, total=10, k_values=np.arange(1, done + 1), inertias=np.ones(done), state={}
        )
        reporter(step)

    assert [(progress.done, progress.before) for progress in told] == [(8, 7), (9, 7), (10, 7)]
    assert len({progress.started_at for progress in told}) == 1
    begun = datetime.fromisoformat(told[0].started_at or "")
    assert begun <= datetime.fromisoformat(told[-1].updated_at or "")
