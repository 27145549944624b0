"""What the form asks that triggers a Dag of these operators, and the check that the answers go together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param

from airflow_segmentation.clustering.methods import METHODS
from airflow_segmentation.errors import InputError
from airflow_segmentation.operators.arguments import as_int, as_optional_int
from airflow_segmentation.operators.telling import reason_told

if TYPE_CHECKING:
    from airflow.sdk import Context

LARGEST_K = 200
"""What the form lets one sweep to. Operators have no such limit."""


def form_params(features: Sequence[str], columns: Sequence[str], k_max: int = 49) -> dict[str, Param]:
    """Return the params `features`, `k_min`, `k_max`, `k` and `method` of a Dag, with titles and rules.

    :param features: The columns to cluster on, unless the form says otherwise.
    :param columns: The columns that the form offers.
    :param k_max: The largest k, unless the form says otherwise.
    """
    k: dict[str, Any] = {"minimum": 1, "maximum": LARGEST_K}
    return {
        "features": Param(
            list(features),
            title="Features",
            description="The columns to cluster on",
            type="array",
            items={"type": "string", "enum": list(columns)},
            examples=list(columns),
            minItems=1,
            uniqueItems=True,
        ),
        "k_min": Param(1, title="Smallest k", description="Where the sweep begins", type="integer", **k),
        "k_max": Param(k_max, title="Largest k", description="Where the sweep ends", type="integer", **k),
        "k": Param(
            None,
            title="k",
            description="How many segments to make; leave it empty to let the method below choose",
            type=["null", "integer"],
            **k,
        ),
        "method": Param(
            "kneedle",
            title="Method",
            description="How to choose k from the sweep",
            type="string",
            enum=list(METHODS),
            values_display={name: f"{one.label}: {one.meaning}" for name, one in METHODS.items()},
        ),
    }


def require_range(context: Context) -> None:
    """Refuse a range of k that is none, and a k outside of it.

    A form checks each param by itself. As `pre_execute=require_range` of a Dag's first task, this fails
    the run before anything is loaded, not after the sweep.

    :raises InputError: if `k_min`, `k_max` and, where it is given, `k` do not go together.
    """
    with reason_told(context):
        _require_range(context["params"])


def _require_range(params: Mapping[str, Any]) -> None:
    k_min, k_max = as_int("k_min", params["k_min"], minimum=1), as_int("k_max", params["k_max"], minimum=1)
    if k_min > k_max:
        raise InputError(
            f"k_min={k_min} should be <= k_max={k_max}; trigger the Dag again with another range"
        )
    k = as_optional_int("k", params["k"], minimum=1)
    if k is not None and not k_min <= k <= k_max:
        raise InputError(
            f"k={k} should be in the range that is swept, k_min={k_min} to k_max={k_max}; trigger the Dag "
            "again with a k of that range or with a wider one, or leave k empty"
        )
