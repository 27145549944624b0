"""The saved model: one scikit-learn Pipeline that takes customers in original units.

A pickle can run any code when it is loaded. Ours holds nothing but the classes listed here, so only those are
resolved, and a file that asks for anything else is refused before it can do harm.
"""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

from airflow_segmentation.errors import InputError
from airflow_segmentation.storage import open_for_reading, without_secrets, written_whole

if TYPE_CHECKING:
    import numpy as np
    from sklearn.pipeline import Pipeline

    from airflow_segmentation.scaling import Scaling

# numpy moved its internals in 2.0: a pickle written before names the older modules.
_LOADABLE = {
    ("sklearn.pipeline", "Pipeline"),
    ("sklearn.preprocessing._data", "MinMaxScaler"),
    ("sklearn.cluster._kmeans", "KMeans"),
    ("sklearn.impute._base", "SimpleImputer"),
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


class _OwnUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _LOADABLE:
            raise InputError(f"it asks for {module}.{name}")
        return super().find_class(module, name)


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


def save_model(model: Pipeline, uri: str, conn_id: str | None = None) -> None:
    """Save the model at a URI, replacing what was there once the new one is complete."""
    with written_whole(uri, conn_id) as file:
        pickle.dump(model, file, protocol=4)


def load_model(uri: str, conn_id: str | None = None) -> Pipeline:
    """Load a model that :func:`save_model` wrote.

    :raises InputError: if there is none, or the file holds anything but such a model; nothing in it is run.
    """
    from sklearn.pipeline import Pipeline

    with open_for_reading(uri, conn_id) as file:
        try:
            model = _OwnUnpickler(file).load()
        except Exception as error:
            raise InputError(
                f"{without_secrets(uri)} is not a model that ElbowOperator saved ({error}); it was not loaded"
            ) from error
    if not isinstance(model, Pipeline) or [name for name, _ in model.steps][-2:] != ["scale", "cluster"]:
        raise InputError(
            f"{without_secrets(uri)} holds no Pipeline of a scaler and a K-Means; it was not used"
        )
    return model
