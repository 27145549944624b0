"""Sentences that stand in a report's warnings, and on the page as well."""

from __future__ import annotations

from airflow_segmentation.clustering.methods import METHODS


def depends_on_the_range(method: str, *ranges: tuple[int | None, int]) -> str:
    """Return that a method finds another k in another range.

    :param ranges: of each the k that was found, and the largest k that was swept.
    """
    what = "The elbow" if METHODS[method].reads == "curve" else f"The k of {METHODS[method].label}"
    found = (f"{k_of(swept)} for k up to {swept[1]}" for swept in ranges)
    return f"{what} depends on the range swept: {', '.join(found)}"


def k_of(swept: tuple[int | None, int]) -> str:
    """Return the k that was found in a range up to a k, and whether it is the last of it."""
    k, k_max = swept
    if k is None:
        return "none"
    return f"k = {k}, the last," if k == k_max else f"k = {k}"
