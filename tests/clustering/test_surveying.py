"""What a survey tells of segments, against what pandas and NumPy tell of the same rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from airflow_segmentation.clustering import Segmenting, Survey, studying, survey
from airflow_segmentation.clustering.shifts import BinsTally
from airflow_segmentation.tables.parquet import Table

CENTERS = np.array([[0.5, 0.5], [3.0, 1.0]])
QUARTILES = (0.25, 0.5, 0.75)
EDGES = np.array([0.5, 1.0])


@pytest.fixture
def frame() -> pd.DataFrame:
    frame = pd.DataFrame(np.random.default_rng(0).lognormal(size=(50_000, 3)), columns=["a", "b", "age"])
    frame.loc[::10, "age"] = None
    return frame


def surveyed(frame: pd.DataFrame, folder, monkeypatch) -> tuple[Survey, int]:
    """Return a survey, and the number of its passes over the rows."""
    each, passes = Table.each, []

    def noted(*arguments, **given):
        passes.append(given)
        return each(*arguments, **given)

    monkeypatch.setattr(Table, "each", noted)
    pq.write_table(pa.Table.from_pandas(frame), folder / "rows.parquet", row_group_size=20_000)
    with Table(str(folder / "rows.parquet")) as table:
        found = survey(
            table,
            ["a", "b", "age"],
            Segmenting(["a", "b"], CENTERS, np.bincount(segments_of(frame)).tolist()),
            QUARTILES,
            farthest=float(np.linalg.norm(frame[["a", "b"]].max())),
            seed=1,
            others=[BinsTally(["age"], [EDGES])],
        )
    return found, len(passes)


def segments_of(frame: pd.DataFrame) -> np.ndarray:
    return np.linalg.norm(frame[["a", "b"]].to_numpy()[:, None] - CENTERS, axis=2).argmin(axis=1)


@pytest.mark.parametrize(("gathered", "tolerance"), [(10**6, 1e-12), (1_000, 2e-3)])
def test_a_survey_tells_of_all_rows_what_pandas_tells(frame, tmp_path, monkeypatch, gathered, tolerance):
    monkeypatch.setattr(Table, "gathered", gathered)
    monkeypatch.setattr(studying, "ROWS", 2_000)
    found, _ = surveyed(frame, tmp_path, monkeypatch)
    segments, features = segments_of(frame), frame[["a", "b"]]
    groups = frame.groupby(segments)

    np.testing.assert_allclose(found.moments.mean, features.mean(), rtol=1e-12)
    np.testing.assert_allclose(found.moments.deviation, features.std(ddof=0), rtol=1e-12)
    np.testing.assert_allclose(
        found.described.mean, np.column_stack([groups.mean().T, frame.mean()]), rtol=1e-12
    )
    for place, share in enumerate(QUARTILES):
        wanted = np.column_stack([groups.quantile(share).T, frame.quantile(share)])
        np.testing.assert_allclose(found.described.quantiles[:, :, place], wanted, rtol=tolerance)
    distances = np.linalg.norm(features.to_numpy() - CENTERS[segments], axis=1)
    for segment in (0, 1):
        wanted = np.percentile(distances[segments == segment], range(1, 101))
        assert found.distances[segment][1:] == pytest.approx(wanted, rel=0.02)
    studied = found.studied
    assert np.bincount(studied.segments, studied.weights) == pytest.approx(np.bincount(segments), rel=0.02)
    assert 1_500 < len(studied.rows) < 2_500
    (((counts,),),) = (found.others,)
    assert counts.tolist() == [[int(n) for n in np.histogram(frame["age"].dropna(), [0, *EDGES, 1e9])[0]]]


def test_many_rows_are_surveyed_in_two_passes(frame, tmp_path, monkeypatch):
    monkeypatch.setattr(Table, "gathered", 1_000)
    found, passes = surveyed(frame, tmp_path, monkeypatch)

    assert passes == 2
    assert found.described.gathered == 1_000


def test_quartiles_of_few_rows_are_exact_and_said_to_be(frame, tmp_path, monkeypatch):
    found, _ = surveyed(frame.head(500), tmp_path, monkeypatch)

    assert found.described.gathered is None
