"""The saved model: one scikit-learn Pipeline that takes customers in original units.

It is saved in the format of skops where its name ends in `.skops`, else as a pickle. A pickle can run any
code when it is loaded. So nothing is run here: of a pickle's objects only the attributes are read, into
:class:`Model`, and a file that asks for anything but them and numpy's arrays is refused. That spares the task
that assigns segments the import of scikit-learn, too. A `.skops` file is built by skops, of the types that it
trusts and no others.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import warnings
from collections.abc import Mapping
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
    made_by: Mapping[str, str]
    """`dag_id`, `run_id` and `task_id` of what made it; empty where that is not known."""

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Return the segments of rows in original units, of shape (n_rows,).

        A row with a value that is missing or infinite has -1.
        """
        import numpy as np

        from airflow_segmentation.clustering import assign

        if self.medians is not None:
            rows = np.where(np.isnan(rows), self.medians, rows)
        segments = np.full(len(rows), -1, np.int32)
        complete = np.isfinite(rows).all(axis=1)
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
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")


def build_model(
    scaling: Scaling,
    centers: np.ndarray,
    sse: float,
    iterations: int,
    made_by: Mapping[str, str] | None = None,
) -> Pipeline:
    """Return a fitted Pipeline of the scaler and the chosen K-Means, after an imputer if missing values have
    medians.

    :param scaling: how the features were scaled.
    :param centers: of shape (k, n_features), in scaled units; label i of the model is row i.
    :param sse: the within-cluster sum of squared errors, scikit-learn's inertia.
    :param iterations: iterations of Lloyd's algorithm that led there.
    :param made_by: what the Pipeline's attribute `made_by_` tells: `dag_id`, `run_id` and `task_id`.
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

    model = Pipeline([*steps, ("scale", scaler), ("cluster", kmeans)])
    model.made_by_ = dict(made_by or {})
    return model


def save_model(model: Pipeline, uri: str, conn_id: str | None = None, writer: str = "") -> str:
    """Save the model at a URI, replacing what was there once the new one is complete.

    :param writer: the task instance that saves it, see :func:`~airflow_segmentation.outputs.writer_of`.

    :returns: the file's SHA-256 digest, in hexadecimal.
    """
    content = _skops(uri).dumps(model) if _is_skops(uri) else pickle.dumps(model, protocol=4)
    with written_whole(uri, conn_id, writer) as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()


def load_model(uri: str, conn_id: str | None = None, digest: str | None = None) -> Model:
    """Load a model that :func:`save_model` wrote.

    :param digest: what :func:`save_model` returned; None takes any model of ours.

    :raises InputError: if there is none, the file has another digest, or it holds anything but such a model;
        nothing in it is run.
    """
    shown = without_secrets(uri)
    with open_for_reading(uri, conn_id) as file:
        content = file.read()
    found = hashlib.sha256(content).hexdigest()
    if digest not in (None, found):
        raise InputError(
            f"{shown} has the SHA-256 digest {found}, not model_digest={digest}: the model was replaced "
            "since, by another run or by hand. Clear the task that chooses k, or give each run a model_path "
            "of its own, with {{ run_id }} in it"
        )
    try:
        return _model(
            _loaded_by_skops(content, uri) if _is_skops(uri) else _Reader(io.BytesIO(content)).load()
        )
    except InputError:
        raise
    except Exception as error:
        why = " ".join(str(error).split())
        raise InputError(
            f"{shown} is not a model that ElbowOperator saved ({why}); it was not used. Run the task that "
            "chooses k again"
        ) from None


def _model(pipeline: Any) -> Model:
    """Return what a Pipeline, or the attributes of one, holds."""
    steps = dict(pipeline.steps)
    scaler, kmeans, imputer = steps["scale"], steps["cluster"], steps.get("impute")
    features = tuple(map(str, (imputer or scaler).feature_names_in_))
    one = (len(features),)
    return Model(
        features=features,
        minimum=_floats(scaler.data_min_, one),
        maximum=_floats(scaler.data_max_, one),
        scale=_floats(scaler.scale_, one),
        offset=_floats(scaler.min_, one),
        medians=None if imputer is None else _floats(imputer.statistics_, one),
        centers=_floats(kmeans.cluster_centers_, (len(kmeans.cluster_centers_), *one)),
        made_by={str(name): str(value) for name, value in getattr(pipeline, "made_by_", {}).items()},
    )


def _floats(values: Any, shape: tuple[int, ...]) -> np.ndarray:
    import numpy as np

    array = np.asarray(values, np.float64)
    if array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"an array of shape {array.shape} should have shape {shape} and be finite")
    return array


def _is_skops(uri: str) -> bool:
    return uri.endswith(".skops")


def _loaded_by_skops(content: bytes, uri: str) -> Any:
    # skops trusts scikit-learn's estimators and numpy's arrays. A dtype stands in every SimpleImputer.
    return _skops(uri).loads(content, trusted=["numpy.dtype"])


def _skops(uri: str) -> Any:
    try:
        # When skops is imported, it looks at all that was imported before, Airflow's deprecated names too.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import skops.io
    except ImportError:
        raise InputError(
            f"{without_secrets(uri)} needs skops, which is not installed: pip install skops, or choose a "
            "name that ends in .sav"
        ) from None
    return skops.io
