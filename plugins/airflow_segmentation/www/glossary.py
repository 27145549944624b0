"""What each term on the page means: what it is, what is good, and what to do. Said here alone."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_segmentation.clustering.matching import LIMIT, STILL
from airflow_segmentation.clustering.methods import DISSOLVED, METHODS, STABLE
from airflow_segmentation.reports.describing import DIFFERENT, SLIGHTLY, VERY
from airflow_segmentation.www.succession import MUCH, SOME


@dataclass(frozen=True)
class Term:
    """One term: each text is a sentence or two."""

    name: str
    what: str
    good: str
    do: str


TERMS = {
    "k": Term(
        "k",
        "How many segments the rows are parted into.",
        "No k is right in itself. A good one has segments that come again and that you can act on.",
        "Look at another k by the curve or the arrow keys; to take it, set k when you trigger the Dag.",
    ),
    "sse": Term(
        "SSE",
        "The sum of the squared distances of all rows to the centre of their segment.",
        "It falls with every segment that is added, so the smallest is no guide.",
        "Look for the elbow: where it stops falling fast.",
    ),
    "explained": Term(
        "Variation explained",
        "How much of the differences between rows their segments tell: by how much SSE is smaller than "
        "with a single segment.",
        "It is 0% for one segment, and rises with every segment that is added.",
        "Compare it between runs with the same features; ask whether one more segment still adds much.",
    ),
    "elbow": Term(
        "Elbow",
        "The k at which the curve of SSE bends: left of it one more segment explains much, right of it "
        "little.",
        "A sharp bend. Every falling curve bends somewhere, that of rows without groups too.",
        "See whether there are groups before you trust it. Compare runs with the same range of k only.",
    ),
    "silhouette": Term(
        "Silhouette",
        "How much nearer rows are to their own segment than to the next, on average, from \u22121 to 1.",
        "The largest is best. Below 0.25 there is no substantial structure.",
        "If it is low at every k, try other features: those that tell customers apart.",
    ),
    "calinski_harabasz": Term(
        "Calinski-Harabasz",
        "How much segments scatter around the middle of all rows, for how much rows scatter within segments.",
        "The largest is best. It likes few segments, and has no scale: compare it within one run only.",
        "Use it beside the other scores, not alone.",
    ),
    "davies_bouldin": Term(
        "Davies-Bouldin",
        "How wide segments are for their distance from the one that is most like them.",
        "The smallest is best. It likes many small segments where there are outliers.",
        "If it is best at the last k, look at the sizes, and remove or cap outliers.",
    ),
    "gap": Term(
        "Gap",
        "How much less SSE the rows leave than rows like them without groups, as a natural logarithm: at 0.3 "
        "they leave a quarter less.",
        "About 0 means no groups. Its k is the first that no other beats by more than a standard error.",
        "Look at it first: it is the only figure that can say that there are no groups.",
    ),
    "kneedle": Term(
        "Kneedle",
        f"A method that takes the k {METHODS['kneedle'].meaning}.",
        "The same k for another range of k, and on most resamples.",
        "If it changes with the range, choose by the gap or by what you can act on.",
    ),
    "chord": Term(
        "Chord",
        f"A method that takes {METHODS['chord'].meaning}. It always finds one.",
        "The same k as other methods take.",
        "Take it for a hint only: it finds a k in rows without groups as well.",
    ),
    "evidence": Term(
        "Evidence",
        f"The k that is best supported: {METHODS['evidence'].meaning}.",
        "The same as the chosen k.",
        "If it differs, look at both. To have it chosen, set the method to evidence.",
    ),
    "settled": Term(
        "Not settled",
        "The method's best k is the last of the range, so a larger one may be better.",
        "A k well within the range.",
        "Sweep a wider range: set k_max to more.",
    ),
    "structure": Term(
        "Are there groups?",
        "The rows are held against made ones that are like them but have no groups.",
        "Clear groups. Without groups segments are slices of one continuum: they can be useful, but "
        "neighbours swap when data change.",
        "Without groups, choose k by what you can act on, or try other features.",
    ),
    "dip": Term(
        "Dip test",
        "Asks whether the rows have more than one peak along the direction in which they differ most.",
        "A p below 0.05 says more than one peak. Outliers and long tails mislead it.",
        "Use it as a second witness beside the gap.",
    ),
    "resamples": Term(
        "Resamples",
        "The sweep repeated on rows drawn anew from yours, to see whether the same k is chosen again.",
        "One k chosen by most of them.",
        "If several k are chosen about as often, treat k as a range.",
    ),
    "again": Term(
        "Comes again",
        "How much a segment is like the most similar one of each resample, on average, from 0 to 1 (Jaccard "
        "similarity).",
        f"From {STABLE} a segment is stable; below {DISSOLVED} it dissolves; between them it is doubtful.",
        "Act on stable segments. Leave the others alone, or take a k at which all are stable.",
    ),
    "centres": Term(
        "Standardized centres",
        "How far the middle of a segment lies from that of all rows, in standard deviations.",
        "Far from 0, red or blue: that is what makes the segment special. About 0 it is like everyone.",
        "Name a segment by its deepest colours.",
    ),
    "description": Term(
        "Description of a segment",
        f"By how many standard deviations of all rows its centre lies from their mean: from {SLIGHTLY} "
        f"slightly high or low, from {DIFFERENT} high or low, from {VERY} very much so. What sets it apart "
        "most comes first, with how many times the average it is.",
        "Each segment stands out in something else, and you would act on it in another way.",
        "Say it to a colleague: where two descriptions call for the same action, a smaller k will do.",
    ),
    "map": Term(
        "Map of segments",
        "Rows and centres on two principal components, the directions in which the scaled rows differ most.",
        "The share of variance that it shows is high, and segments lie apart.",
        "Do not read distances off a map that shows little: look at the features themselves.",
    ),
    "between": Term(
        "Which features matter",
        "The share of a feature's variance over all rows that lies between segments, rather than in them.",
        "Near 100 % a feature tells the segment almost alone; near 0 % it tells nothing.",
        "Leave out what tells nothing, and ask whether one feature that tells all is what you want.",
    ),
    "beside": Term(
        "Two k side by side",
        "What becomes of the rows of each segment at one k where there is another number of segments.",
        "Segments go over whole, or one parts into two that you would treat differently.",
        "Where a larger k parts segments crosswise, it found other groups rather than finer ones.",
    ),
    "rules": Term(
        "Rules",
        "A shallow decision tree that reproduces the segments by bounds of the features, with how often it "
        "is right.",
        "From 95 % on they stand in for the model wherever only SQL can be run.",
        "Use the model where you can: the rules are an approximation, and say by how much.",
    ),
    "far": Term(
        "Far out",
        "Customers farther from the centre than 99 of 100 of the rows that their segment was made of.",
        "About 1 % of customers like those it was made of.",
        "Many more are another kind of customer: sweep again, with them among the data.",
    ),
    "quartiles": Term(
        "Quartiles",
        "A quarter of the rows lies below the lower one, half below the median, a quarter above the "
        "upper one.",
        "Quartiles that lie near each other: the rows of the segment are alike.",
        "Where the mean is far from the median, a few rows are extreme: trust the median.",
    ),
    "published": Term(
        "Compared with the published segments",
        "Each segment is matched with at most one of those that were published, so that centres move least "
        "in all, and those of large segments less. How far one moved is told by how far off the next "
        f"published one was: up to {STILL:.0%} the segment is kept, up to {LIMIT:.0%} it has moved, beyond "
        "that it is new. A published one that none matches is gone, and its number is never given again.",
        "All kept. A number and a name mean the same as before then.",
        "Where one moved far, is new or gone, see what was built on it before you publish.",
    ),
    "psi": Term(
        "Population stability index (PSI)",
        "How else the rows of now are spread than those that the published segments were found in: over the "
        "published segments, and over tenths of each feature.",
        f"Below {SOME} nothing shifted, from {MUCH} the shift matters. Of few rows it is large by chance.",
        "Look at a feature that shifted much: another source, another unit, or other customers.",
    ),
    "drift": Term(
        "Drift",
        "How the segments of one run differ from the most similar ones of another: in share and in centre.",
        "Small changes, in runs with the same range of k, features and method.",
        "Where a segment moved far, look at its rows before you act on it as before.",
    ),
}
"""By the name that templates ask for."""
