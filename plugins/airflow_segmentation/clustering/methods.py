"""The scores of a clustering, and the methods that choose k: each is declared here, and nowhere else.

A score is computed by the function of its name in `clustering/scores.py`. The sweep's table, the report, the
operators' arguments and the page's labels and charts follow from what stands here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

STABLE, DISSOLVED = 0.75, 0.5
"""Mean Jaccard similarity from which a segment is stable, and below which it dissolves (Hennig, 2007)."""


@dataclass(frozen=True)
class Score:
    """A figure of quality that every k of a sweep has; NaN where it has no meaning."""

    name: str
    label: str
    best: Literal["largest", "smallest"]
    """Which value chooses k."""
    bounds: tuple[float, float]
    meaning: str
    sampled: bool = False
    """Whether it is taken over a sample of many rows, and so has no more than two digits to be trusted."""


@dataclass(frozen=True)
class Method:
    """A way to choose k."""

    name: str
    label: str
    meaning: str
    reads: Literal["curve", "score", "structure"] = "curve"
    """What it chooses by: the curve of the SSE, the score of its name, or sets without groups."""


_Named = TypeVar("_Named", Score, Method)


def _by_name(items: Iterable[_Named]) -> dict[str, _Named]:
    return {item.name: item for item in items}


SCORES = _by_name(
    (
        Score(
            "silhouette",
            "Silhouette",
            "largest",
            (-1.0, 1.0),
            "how much nearer customers are to their own segment than to the next",
            sampled=True,
        ),
        Score(
            "calinski_harabasz",
            "Calinski-Harabasz",
            "largest",
            (0.0, float("inf")),
            "scatter between segments over that within",
        ),
        Score(
            "davies_bouldin",
            "Davies-Bouldin",
            "smallest",
            (0.0, float("inf")),
            "how wide segments are for their distance from the one most like them",
        ),
    )
)

METHODS = _by_name(
    (
        Method("kneedle", "Kneedle", "where the SSE curve bends most"),
        *(Method(one.name, one.label, f"the {one.best}: {one.meaning}", "score") for one in SCORES.values()),
        Method(
            "gap",
            "Gap",
            "the first k after which one more segment gains no more than in rows without groups",
            "structure",
        ),
        Method(
            "evidence",
            "Evidence",
            "what gap and scores support, and all of whose segments come again in resamples",
            "structure",
        ),
        Method("chord", "Chord", "the point farthest from the line between the curve's ends"),
    )
)
"""In the order in which a person should meet them."""
