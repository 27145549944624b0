"""Min-max scaling of a table in two streamed passes, and the record of it that every later step reads."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

from airflow_segmentation.errors import InputError
from airflow_segmentation.storage.addresses import without_secrets
from airflow_segmentation.tables.passes import Scaled, ranges

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from airflow_segmentation.tables.data import Data

log = logging.getLogger(__name__)

Missing = Literal["drop", "drop_any", "median", "fail"]
"""What becomes of a row with a missing value: it is dropped if a feature misses, dropped if any column
misses, gets the feature's median, or fails the task."""
MISSING_RULES: tuple[Missing, ...] = get_args(Missing)


LARGEST = 1e150
"""The largest number that a squared distance can be taken of."""
SMALLEST = 1e-150
"""The smallest difference whose square is not lost among the smallest numbers there are."""
LARGEST_WHOLE = 2**53
"""Beyond it not every whole number is a floating-point number."""


@dataclass(frozen=True)
class Scaling:
    """The features of a table, their range in original units, and how rows came to be left out."""

    features: tuple[str, ...]
    minimum: tuple[float, ...]
    maximum: tuple[float, ...]
    rows: int
    """Rows that are left."""
    feature_range: tuple[float, float] | None = None
    """What minimum and maximum became; None for a table that nobody scaled."""
    medians: tuple[float, ...] | None = None
    """What stands for a missing value, in original units; None where no value may be missing."""
    dropped: tuple[tuple[str, int], ...] = ()
    """Pairs of a reason in words and the rows left out for it."""

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Scaling:
        """Read a record that :meth:`to_json` wrote and JSON made lists of."""
        fields: dict[str, Any] = {
            name: tuple(item) if isinstance(item, list) else item for name, item in value.items()
        }
        return cls(**{**fields, "dropped": tuple(map(tuple, value["dropped"]))})

    def of(self, features: Sequence[str], where: str) -> Scaling:
        """Return the scaling of some of the features of the table `where`.

        :raises InputError: if one of them was not scaled.
        """
        unscaled = [name for name in features if name not in self.features]
        if unscaled:
            raise InputError(
                f"{', '.join(unscaled)} of {where} was not scaled, and would be clustered in other units "
                f"than {', '.join(self.features)}; name it in the features of MinMaxPreprocessOperator"
            )
        chosen = [self.features.index(name) for name in features]
        return replace(
            self,
            features=tuple(features),
            minimum=tuple(self.minimum[index] for index in chosen),
            maximum=tuple(self.maximum[index] for index in chosen),
            medians=None if self.medians is None else tuple(self.medians[index] for index in chosen),
        )

    @property
    def constant(self) -> list[str]:
        """Names of the features that have one value only."""
        import numpy as np

        constant = _is_constant(np.array(self.minimum), np.array(self.maximum))
        return [name for name, is_one in zip(self.features, constant, strict=True) if is_one]

    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """Return `scale` and `offset`, each of shape (n_features,): scaled = original * scale + offset.

        They are `scale_` and `min_` of scikit-learn's MinMaxScaler: a constant feature is taken to have a
        spread of 1, and so falls on the lower end of the range. Unlike there, a feature is constant where its
        values differ by rounding alone, however small they are, and not wherever they differ by 2e-15.
        """
        import numpy as np

        minimum, spread = np.array(self.minimum), np.subtract(self.maximum, self.minimum)
        constant = _is_constant(minimum, np.array(self.maximum))
        if self.feature_range is None:
            return np.ones(len(spread)), np.zeros(len(spread))
        low, high = self.feature_range
        scale = (high - low) / np.where(constant, 1.0, spread)
        return scale, low - minimum * scale

    def to_original(self, scaled: np.ndarray) -> np.ndarray:
        """Return scaled values, of shape (n, n_features), in original units."""
        scale, offset = self.factors()
        return (scaled - offset) / scale


def scale_table(
    table: Data, uri: str, features: Sequence[str], missing: Missing, feature_range: tuple[float, float]
) -> Scaling:
    """Write the table with its features scaled, its id column and its other numeric columns as they are.

    :raises InputError: if a feature is not there, is no number or is infinite, if a value is missing and may
        not, or if no row is left; nothing is written then.
    """
    table.require_numeric(features)
    required = table.columns if missing == "drop_any" else list(features)
    scaling = _measure(table, features, missing, required, feature_range)
    (scale, offset), constant = scaling.factors(), set(scaling.constant)
    schema = scaled_schema(table, features)
    read = [name for name in table.columns if name in schema.names or name in required]
    change = Scaled(
        schema=schema,
        features=tuple(features),
        required=tuple(required) if scaling.dropped else (),
        medians=scaling.medians,
        scale=scale,
        offset=offset,
        constant=[name in constant for name in features],
        low=feature_range[0],
    )
    facts = {"id_column": table.id_column, "scaling": scaling.to_json()}
    table.write(uri, change.schema, change, columns=read, facts=facts)
    _tell_of_rounding(table, scaling)
    return scaling


def scaled_schema(table: Data, features: Sequence[str]) -> pa.Schema:
    """Return the columns that :func:`scale_table` writes: features, the id column, other numeric columns."""
    import pyarrow as pa

    kept = {table.id_column, *table.numeric_columns}
    return pa.schema(
        pa.field(field.name, pa.float64()) if field.name in features else field
        for field in table.schema
        if field.name in kept
    )


def unscaled(table: Data, features: Sequence[str]) -> Scaling:
    """Return the record of features that are clustered as they are, in one streamed pass.

    :raises InputError: if a feature is not there or is no number, a value is missing or infinite, there is no
        row, or all differences are too small to be squared.
    """
    table.require_numeric(features)
    scaling = replace(_measure(table, features, "fail", features, (0.0, 1.0)), feature_range=None)
    widest = max(high - low for low, high in zip(scaling.minimum, scaling.maximum, strict=True))
    if 0 < widest < SMALLEST:
        raise InputError(
            f"The values of {', '.join(features)} of {without_secrets(table.uri)} differ by {widest:g} at "
            f"most, and differences below {SMALLEST:g} cannot be squared: scale them with "
            "MinMaxPreprocessOperator"
        )
    _tell_of_rounding(table, scaling)
    return scaling


def _tell_of_rounding(table: Data, scaling: Scaling) -> None:
    """Log which features hold whole numbers that floating-point numbers do not."""
    import pyarrow as pa

    for name, low, high in zip(scaling.features, scaling.minimum, scaling.maximum, strict=True):
        whole = pa.types.is_integer(table.schema.field(name).type)
        if whole and max(-low, high) > LARGEST_WHOLE:
            log.warning(
                "Feature %s holds whole numbers beyond %d, which are rounded to 16 digits. If it is an id, "
                "name it in id_column and leave it out of features",
                name,
                LARGEST_WHOLE,
            )


def _measure(
    table: Data,
    features: Sequence[str],
    missing: Missing,
    required: Sequence[str],
    feature_range: tuple[float, float],
) -> Scaling:
    """Find each feature's range over the rows that stay, and count those that do not."""
    import numpy as np

    where, is_filled = without_secrets(table.uri), missing == "median"
    visit = partial(ranges, features=features, required=required, keep_missing=is_filled)
    parts = list(table.each(list(dict.fromkeys([*required, *features])), visit))
    if not parts:
        raise InputError(f"{where} has no rows; look at the task that wrote it")
    counts, misses, lows, highs, extremes, infinite = map(np.array, zip(*parts, strict=True))
    for index, feature in enumerate(features):
        if infinite[:, index].any():
            raise InputError(
                f"Column {feature!r} of {where} holds an infinite value, which has no place in a range: "
                "clean the column, or leave it out of features"
            )
        extreme = extremes[np.abs(extremes[:, index]).argmax(), index]
        if abs(extreme) > LARGEST:
            raise InputError(
                f"Column {feature!r} of {where} holds {extreme:g}, and numbers beyond {LARGEST:g} cannot be "
                "squared: clean the column, or leave it out of features"
            )
    rows, dropped = int(counts.sum()), +Counter(dict(zip(required, misses.sum(axis=0).tolist(), strict=True)))
    if missing == "fail" and dropped:
        raise InputError(
            f"{where} misses values in "
            + ", ".join(f"{column!r} ({count} rows)" for column, count in dropped.items())
            + "; fill them, or choose missing='drop' or 'median'"
        )
    if not rows:
        raise InputError(
            f"No row of {where} has a value in every column that needs one (of {table.rows}, "
            f"{', '.join(f'{count} miss {column!r}' for column, count in dropped.items())}); choose other "
            "features, or missing='median'"
        )
    return Scaling(
        features=tuple(features),
        minimum=tuple(lows.min(axis=0).tolist()),
        maximum=tuple(highs.max(axis=0).tolist()),
        rows=rows,
        feature_range=feature_range,
        medians=_medians(table, features) if is_filled else None,
        dropped=tuple((f"{column} is missing", count) for column, count in dropped.most_common()),
    )


def _medians(table: Data, features: Sequence[str]) -> tuple[float, ...]:
    """Return each feature's median: of many rows, off by less than a thousandth of its range.

    :raises InputError: if a feature has no value at all.
    """
    from airflow_segmentation.clustering import Segmenting, describe

    found = describe(table, features, Segmenting(), [0.5]).quantiles[:, -1, 0].tolist()
    for name, median in zip(features, found, strict=True):
        if math.isnan(median):
            raise InputError(
                f"Column {name!r} of {without_secrets(table.uri)} has no value at all, and so no median; "
                "leave it out of features"
            )
    if table.rows > table.gathered:
        log.info("Medians of %d rows are off by less than a thousandth of their column's range", table.rows)
    return tuple(found)


def _is_constant(low: Any, high: Any) -> Any:
    """Tell whether values from `low` to `high` differ by rounding alone."""
    import numpy as np

    spread, size = np.subtract(high, low), np.maximum(np.abs(low), np.abs(high))
    return spread <= np.maximum(10 * np.finfo(np.float64).eps * size, np.finfo(np.float64).tiny)
