"""The saved model: one scikit-learn Pipeline that takes customers in original units.

It is saved in the format of skops where its name ends in `.skops`, else as a pickle. A pickle can run any
code when it is loaded. So neither is loaded here: the arrays in it are read, into :class:`Model`, and a file
that asks for anything but a Pipeline of ours is refused. That spares the task that assigns segments the
import of scikit-learn, too.
"""

from __future__ import annotations

import hashlib
import pickle
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_segmentation.errors import InputError, has_control
from airflow_segmentation.segments.model_file import (
    MOST_BYTES,
    NotAModel,
    attributes_of,
    names_in,
    numbers_in,
    read_pickle,
    read_skops,
)
from airflow_segmentation.storage.addresses import without_secrets
from airflow_segmentation.storage.files import open_for_reading, written_whole

if TYPE_CHECKING:
    import numpy as np
    from sklearn.pipeline import Pipeline

    from airflow_segmentation.clustering import Assigner
    from airflow_segmentation.tables.scaling import Scaling


PERCENTILES = 101
"""The 0th to the 100th."""
MAX_NAME = 200
"""Characters of a segment's name, be it given or described."""
REPLACED = "Clear the task that chooses k, or give each run a model_path of its own, with {{ run_id }} in it"
"""What to do where another run may have replaced a model."""
LARGEST_NUMBER = 2**31 - 1
"""Of a segment: tables have 32 bits for it."""


@dataclass(frozen=True)
class Model:
    """What assigns segments, and what is known of how it came to be."""

    features: tuple[str, ...]
    minimum: np.ndarray
    """Smallest value of each feature that the model was fitted on, in original units; shape (n_features,)."""
    maximum: np.ndarray
    assigner: Assigner
    made_by: Mapping[str, str]
    """`dag_id`, `run_id` and `task_id` of what made it; empty where that is not known."""
    numbers: tuple[int, ...]
    """The number that each segment has for ever: 0 to k - 1 of a model that does not tell."""
    names: tuple[str, ...]
    """What each segment is called: "Segment 5" of a model that does not tell."""
    distances: np.ndarray | None
    """Percentiles, 0th to 100th, of how far the rows of each segment lay from its centre, in scaled units;
    shape (k, 101). None of a model that does not tell."""


def build_model(
    scaling: Scaling,
    centers: np.ndarray,
    sse: float,
    iterations: int,
    made_by: Mapping[str, str] | None = None,
    numbers: Sequence[int] = (),
    names: Sequence[str] = (),
    distances: np.ndarray | None = None,
) -> Pipeline:
    """Return a fitted Pipeline of the scaler and the chosen K-Means, after an imputer if missing values have
    medians.

    :param scaling: how the features were scaled.
    :param centers: of shape (k, n_features), in scaled units; label i of the model is row i.
    :param sse: the within-cluster sum of squared errors, scikit-learn's inertia.
    :param iterations: iterations of Lloyd's algorithm that led there.
    :param made_by: what the Pipeline's attribute `made_by_` tells: `dag_id`, `run_id` and `task_id`.
    :param numbers: what its attribute `segment_numbers_` tells: the number of each segment.
    :param names: what its attribute `segment_names_` tells: what each segment is called.
    :param distances: what its attribute `distance_percentiles_` tells, of shape (k, 101), see
        :attr:`Model.distances`.

    :raises InputError: if a feature's name has a line break or such: it would be a line of the file.
    """
    import numpy as np
    from sklearn.cluster import KMeans
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import MinMaxScaler

    for name in scaling.features:
        if has_control(name):
            raise InputError(f"Column {name[:40]!r} has a control character in its name; rename it")
    features = np.array(scaling.features, dtype=object)
    steps: list[tuple[str, Any]] = []
    if scaling.medians is not None:
        from sklearn.impute import SimpleImputer

        imputer = SimpleImputer(strategy="median").fit([scaling.medians])
        imputer.feature_names_in_ = features
        steps.append(("impute", imputer))

    # Each step is fitted on the fewest rows that leave it as the whole table would, then told what they
    # cannot tell.
    scaler = MinMaxScaler(feature_range=scaling.feature_range or (0, 1)).fit(
        [scaling.minimum, scaling.maximum]
    )
    scaler.scale_, scaler.min_ = scaling.factors()
    scaler.n_samples_seen_ = scaling.rows
    if not steps:
        scaler.feature_names_in_ = features
    kmeans = KMeans(n_clusters=len(centers), init=centers, n_init=1, max_iter=1).fit(centers)
    kmeans.cluster_centers_ = np.ascontiguousarray(centers)
    kmeans.inertia_ = sse
    kmeans.n_iter_ = iterations
    del kmeans.labels_  # of the centres; the labels of customers are for KMeansPredictOperator to find

    model = Pipeline([*steps, ("scale", scaler), ("cluster", kmeans)])
    model.made_by_ = dict(made_by or {})
    if numbers:
        model.segment_numbers_ = np.array(numbers, np.int64)
    if names:
        model.segment_names_ = np.array(names, dtype=object)
    if distances is not None:
        model.distance_percentiles_ = np.ascontiguousarray(distances, np.float64)
    return model


def save_model(model: Pipeline, uri: str, conn_id: str | None = None, writer: str = "") -> str:
    """Save the model at a URI, replacing what was there once the new one is complete.

    :param writer: the task instance that saves it, by
        :func:`~airflow_segmentation.storage.outputs.writer_of`.

    :returns: the file's SHA-256 digest, in hexadecimal.

    :raises InputError: if it is larger than :func:`load_model` takes, or may not be written there.
    """
    content = _skops(uri).dumps(model) if uri.endswith(".skops") else pickle.dumps(model, protocol=4)
    try:
        _read(content, uri)
    except NotAModel as error:
        raise InputError(
            f"The model cannot be saved at {without_secrets(uri)}: {error}, and would not be loaded again. "
            "Choose fewer features or segments, or shorter names"
        ) from None
    with written_whole(uri, conn_id, writer) as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()


def load_model(
    uri: str, conn_id: str | None = None, digest: str | None = None, cure: str = REPLACED
) -> Model:
    """Load a model that :func:`save_model` wrote.

    :param digest: what :func:`save_model` returned; None takes any model of ours.
    :param cure: what to do where the file has another.

    :raises InputError: if there is none, the file has another digest, or it holds anything but such a model;
        nothing in it is run.
    """
    return understood(read_model(uri, conn_id, digest, cure), uri)


def read_model(uri: str, conn_id: str | None, digest: str | None, cure: str = REPLACED) -> bytes:
    """Return what is in the file of a model, which :func:`understood` reads.

    :raises InputError: if there is none, or the file has another digest.
    """
    with open_for_reading(uri, conn_id) as file:
        content = file.read(MOST_BYTES + 1)
    found = hashlib.sha256(content).hexdigest()
    if digest not in (None, found):
        raise InputError(
            f"{without_secrets(uri)} has the SHA-256 digest {found}, not model_digest={digest}: the model "
            f"was replaced since, by another run or by hand. {cure}"
        )
    return content


def understood(content: bytes, uri: str) -> Model:
    """Return the model in a file, of which nothing is run.

    :raises InputError: if it holds anything but a model that :func:`save_model` wrote.
    """
    try:
        return _read(content, uri)
    except NotAModel as error:
        raise InputError(
            f"{without_secrets(uri)} is not a model that ElbowOperator saved ({error}); it was not used. Run "
            "the task that chooses k again"
        ) from None


def _read(content: bytes, uri: str) -> Model:
    """Return the model in a file of this name.

    :raises NotAModel: if it holds anything else.
    """
    if len(content) > MOST_BYTES:
        raise NotAModel(f"it has more than {MOST_BYTES >> 20} MB")
    try:
        return _model(read_skops(content) if uri.endswith(".skops") else read_pickle(content))
    except NotAModel:
        raise
    except Exception:  # whatever is met first of what is damaged, in words that may show what the file holds
        raise NotAModel("it is damaged, or another kind of file") from None


def _model(file: Any) -> Model:
    """Return the model that a file holds.

    :raises NotAModel: if it holds another.
    """
    from airflow_segmentation.clustering import Assigner

    pipeline = attributes_of(file, "sklearn.pipeline.Pipeline")
    steps = dict(_step(item) for item in pipeline["steps"])
    scaler = attributes_of(steps["scale"], "sklearn.preprocessing._data.MinMaxScaler")
    kmeans = attributes_of(steps["cluster"], "sklearn.cluster._kmeans.KMeans")
    imputer = (
        attributes_of(steps["impute"], "sklearn.impute._base.SimpleImputer") if "impute" in steps else None
    )
    features = names_in((imputer or scaler)["feature_names_in_"])
    if any(map(has_control, features)):
        raise NotAModel("it has a feature with a control character in its name")
    one = (len(features),)
    centers = numbers_in(kmeans["cluster_centers_"])
    numbers = _numbers(pipeline.get("segment_numbers_"), len(centers))
    names, distances = pipeline.get("segment_names_"), pipeline.get("distance_percentiles_")
    return Model(
        features=features,
        minimum=_finite(numbers_in(scaler["data_min_"]), one),
        maximum=_finite(numbers_in(scaler["data_max_"]), one),
        assigner=Assigner(
            scale=_finite(numbers_in(scaler["scale_"]), one),
            offset=_finite(numbers_in(scaler["min_"]), one),
            medians=None if imputer is None else _finite(numbers_in(imputer["statistics_"]), one),
            centers=_finite(centers, (len(centers), *one)),
        ),
        made_by=_text(pipeline.get("made_by_", {})),
        numbers=numbers,
        names=_names(names, numbers),
        distances=None if distances is None else _finite(numbers_in(distances), (len(centers), PERCENTILES)),
    )


def _step(item: Any) -> tuple[str, Any]:
    match item:
        case (str(name), step):
            return name, step
    raise NotAModel("it has no pipeline of named steps")


def _finite(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    import numpy as np

    if array.shape != shape or len(array) == 0:
        raise NotAModel(f"it has an array of shape {array.shape} where shape {shape} should be")
    if not np.isfinite(array).all():
        raise NotAModel("it has a number that is missing or infinite")
    return array.astype(np.float64)


def _numbers(numbers: Any, k: int) -> tuple[int, ...]:
    """Return the number of each of k segments."""
    if numbers is None:
        return tuple(range(k))
    found = numbers_in(numbers)
    if found.shape != (k,) or found.dtype.kind != "i" or len(set(found.tolist())) != k:
        raise NotAModel(f"it has other numbers than one for each of {k} segments")
    if found.min() < 0 or found.max() > LARGEST_NUMBER:
        raise NotAModel(f"it has a segment whose number is not from 0 to {LARGEST_NUMBER}")
    return tuple(found.tolist())


def _names(names: Any, numbers: Sequence[int]) -> tuple[str, ...]:
    """Return what the segments of these numbers are called."""
    if names is None:
        return tuple(f"Segment {number}" for number in numbers)
    found = names_in(names)
    if len(found) != len(numbers) or any(map(has_control, found)):
        raise NotAModel(f"it has names for {len(found)} segments of {len(numbers)}, or odd ones")
    return tuple(name[:MAX_NAME] for name in found)


def _text(facts: Any) -> dict[str, str]:
    """Return the facts that :func:`build_model` was given, as they may be shown."""
    kept = {name: facts[name] for name in ("dag_id", "run_id", "task_id") if name in facts}
    if not all(isinstance(value, str) for value in kept.values()):
        raise NotAModel("it tells of what made it what is no text")
    return {name: value[:250] for name, value in kept.items()}


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
