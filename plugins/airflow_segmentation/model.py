"""The saved model: one scikit-learn Pipeline that takes customers in original units.

A pickle can run any code when it is loaded. So nothing is run here: of scikit-learn's objects only the
attributes are read, into :class:`Model`, and a file that asks for anything but them and numpy's arrays is
refused. That spares the task that assigns segments the import of scikit-learn, too.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow_segmentation.errors import InputError
from airflow_segmentation.storage import open_for_reading, without_secrets, written_whole

if TYPE_CHECKING:
    import numpy as np
    from sklearn.pipeline import Pipeline

    from airflow_segmentation.scaling import Scaling

_STEPS = {
    ("sklearn.pipeline", "Pipeline"),
    ("sklearn.impute._base", "SimpleImputer"),
    ("sklearn.preprocessing._data", "MinMaxScaler"),
    ("sklearn.cluster._kmeans", "KMeans"),
}
# numpy moved its internals in 2.0: a pickle written before names the older modules.
_ARRAYS = {
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    *(
        (f"numpy.{core}.{module}", name)
        for core in ("core", "_core")
        for module, name in (
            ("multiarray", "_reconstruct"),
            ("multiarray", "scalar"),
            ("numeric", "_frombuffer"),
        )
    ),
}


@dataclass(frozen=True)
class Model:
    """What assigns segments: arrays of shape (n_features,), and centres of shape (k, n_features)."""

    features: tuple[str, ...]
    minimum: np.ndarray
    """Smallest value of each feature that the model was fitted on, in original units."""
    maximum: np.ndarray
    scale: np.ndarray
    offset: np.ndarray
    medians: np.ndarray | None
    """What stands for a missing value; None where no value may be missing."""
    centers: np.ndarray
    """In scaled units: scaled = original * scale + offset."""

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Return the segments of rows in original units, of shape (n_rows,); -1 where a value is missing."""
        import numpy as np

        from airflow_segmentation.clustering import assign

        if self.medians is not None:
            rows = np.where(np.isnan(rows), self.medians, rows)
        segments = np.full(len(rows), -1, np.int32)
        complete = ~np.isnan(rows).any(axis=1)
        segments[complete] = assign(rows[complete] * self.scale + self.offset, self.centers)
        return segments


class _Attributes(SimpleNamespace):
    """An object of the file, as its attributes alone."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _STEPS:
            return _Attributes
        if (module, name) in _ARRAYS:
            return super().find_class(module, name)
        raise InputError(f"it asks for {module}.{name}")


def build_model(scaling: Scaling, centers: np.ndarray, sse: float, iterations: int) -> Pipeline:
    """Return a fitted Pipeline of the scaler and the chosen K-Means, after an imputer if missing values have
    medians.

    :param scaling: how the features were scaled.
    :param centers: of shape (k, n_features), in scaled units; label i of the model is row i.
    :param sse: the within-cluster sum of squared errors, scikit-learn's inertia.
    :param iterations: iterations of Lloyd's algorithm that led there.
    """
    import numpy as np
    from sklearn.cluster import KMeans
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import MinMaxScaler

    names = np.array(scaling.features, dtype=object)
    steps: list[tuple[str, Any]] = []
    if scaling.medians is not None:
        from sklearn.impute import SimpleImputer

        imputer = SimpleImputer(strategy="median").fit([scaling.medians])
        imputer.feature_names_in_ = names
        steps.append(("impute", imputer))

    # Each step is fitted on the fewest rows that leave it as the whole table would, then told what they
    # cannot tell.
    scaler = MinMaxScaler(feature_range=scaling.feature_range or (0, 1)).fit(
        [scaling.minimum, scaling.maximum]
    )
    scaler.scale_, scaler.min_ = scaling.factors()
    scaler.n_samples_seen_ = scaling.rows
    if not steps:
        scaler.feature_names_in_ = names
    kmeans = KMeans(n_clusters=len(centers), init=centers, n_init=1, max_iter=1).fit(centers)
    kmeans.cluster_centers_ = np.ascontiguousarray(centers)
    kmeans.inertia_ = sse
    kmeans.n_iter_ = iterations
    del kmeans.labels_  # of the centres; the labels of customers are for KMeansPredictOperator to find

    return Pipeline([*steps, ("scale", scaler), ("cluster", kmeans)])


def save_model(model: Pipeline, uri: str, conn_id: str | None = None, writer: str = "") -> None:
    """Save the model at a URI, replacing what was there once the new one is complete.

    :param writer: the task instance that saves it, see :func:`~airflow_segmentation.storage.writer_of`.
    """
    with written_whole(uri, conn_id, writer) as file:
        pickle.dump(model, file, protocol=4)


def load_model(uri: str, conn_id: str | None = None) -> Model:
    """Load a model that :func:`save_model` wrote.

    :raises InputError: if there is none, or the file holds anything but such a model; nothing in it is run.
    """
    with open_for_reading(uri, conn_id) as file:
        try:
            steps = dict(_Reader(file).load().steps)
            scaler, kmeans, imputer = steps["scale"], steps["cluster"], steps.get("impute")
            return Model(
                features=tuple(map(str, (imputer or scaler).feature_names_in_)),
                minimum=scaler.data_min_,
                maximum=scaler.data_max_,
                scale=scaler.scale_,
                offset=scaler.min_,
                medians=None if imputer is None else imputer.statistics_,
                centers=kmeans.cluster_centers_,
            )
        except Exception as error:
            raise InputError(
                f"{without_secrets(uri)} is not a model that ElbowOperator saved ({error}); it was not used"
            ) from error
