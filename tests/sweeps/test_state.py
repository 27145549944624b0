from __future__ import annotations

import numpy as np
from airflow_segmentation.sweeps.state import SweepState

ARRAYS = {"centers": np.arange(6.0).reshape(3, 2), "done": np.array(3)}


def state(tmp_path, **parameters) -> SweepState:
    data = tmp_path / "data"
    if not data.exists():
        data.write_text("rows")
    return SweepState(str(tmp_path / "state"), str(data), None, {"k_max": 9} | parameters)


def test_the_same_sweep_finds_what_it_saved(tmp_path):
    state(tmp_path).save(ARRAYS)
    loaded = state(tmp_path).load()
    assert loaded is not None
    assert loaded.keys() == ARRAYS.keys()
    assert all((loaded[name] == ARRAYS[name]).all() for name in ARRAYS)


def test_nothing_saved_is_nothing_found(tmp_path):
    assert state(tmp_path).load() is None


def test_other_parameters_are_another_sweep(tmp_path):
    state(tmp_path).save(ARRAYS)
    assert state(tmp_path, k_max=10).load() is None


def test_other_data_is_another_sweep(tmp_path):
    state(tmp_path).save(ARRAYS)
    (tmp_path / "data").write_text("other rows")
    assert state(tmp_path).load() is None


def test_a_damaged_file_is_no_state(tmp_path):
    state(tmp_path).save(ARRAYS)
    path = tmp_path / "state"
    path.write_bytes(path.read_bytes()[:100])
    assert state(tmp_path).load() is None


def test_what_is_discarded_is_gone(tmp_path):
    state(tmp_path).save(ARRAYS)
    state(tmp_path).discard()
    state(tmp_path).discard()
    assert state(tmp_path).load() is None
