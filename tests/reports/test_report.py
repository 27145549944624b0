from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from airflow_segmentation.reports.report import (
    MAX_REPORT_BYTES,
    SCHEMA_VERSION,
    Choice,
    CurvePoint,
    Dropped,
    Feature,
    Profile,
    Progress,
    PublishedBefore,
    Report,
    ReportError,
    Stability,
    Summary,
    Times,
    significant,
)
from hypothesis import given, settings
from hypothesis import strategies as st


def report(k=3, k_max=6, features=2, **changes) -> Report:
    centers = tuple((float(segment) + 0.123456,) * features for segment in range(k_max))
    return Report(
        **{
            "k": k,
            "method": "kneedle",
            "decided_by": "kneedle",
            "sensitivity": 1.0,
            "k_min": 1,
            "k_max": k_max,
            "random_state": 42,
            "features": tuple(Feature(f"feature {index}", 0.0, 1.0) for index in range(features)),
            "rows": 100,
            "curve": tuple(
                CurvePoint(k, 100.0 / k, 1 - 1 / k, sizes=(100 // k,) * k, centers=centers[:k])
                for k in range(1, k_max + 1)
            ),
            **changes,
        }
    )


FULL = report(
    dropped=(Dropped("a is missing", 2), Dropped("b is missing", 1)),
    choices=(Choice("kneedle", 3), Choice("silhouette", None)),
    half_range=Choice("kneedle", 2),
    half_k_max=3,
    stability=Stability(20, 1000, (Times(3, 12), Times(4, 8))),
    profiles=(Profile("a", (1.0, 2.0, None), (0.5, 1.5, None), (1.0, 2.0, None), (1.5, 2.5, None)),),
    sample=((1.0, 2.0),),
    warnings=("careful",),
    model_uri="/model.sav",
    created_at="2026-01-01T00:00:00+00:00",
)


@pytest.mark.parametrize("original", [report(), FULL])
def test_a_report_survives_json(original):
    assert Report.from_json(json.loads(json.dumps(original.to_json()))) == original


def test_derived_facts():
    assert (FULL.chosen.k, FULL.rows_dropped, FULL.fell_back, FULL.agree) == (3, 3, False, True)
    assert report(decided_by="chord").fell_back
    assert not report(decided_by="given").fell_back
    assert not report(choices=(Choice("kneedle", 3), Choice("chord", 4))).agree


def test_a_summary_and_progress_survive_json():
    summary = FULL.summary()
    assert Summary.from_json(json.loads(json.dumps(summary.to_json()))) == summary
    assert len(json.dumps(summary.to_json())) < 1000
    progress = Progress(3, 49, ((1.0, 5.0), (2.0, 4.0)))
    assert Progress.from_json(json.loads(json.dumps(progress.to_json()))) == progress


def test_a_summary_is_what_a_list_shows_of_a_report():
    curve = tuple(
        dataclasses.replace(point, scores={"silhouette": 0.5} if point.k == 3 else {}, sse=point.sse + 1 / 3)
        for point in FULL.curve
    )
    summary = dataclasses.replace(FULL, curve=curve, decided_by="chord").summary()

    assert dataclasses.replace(summary, feature_set=None) == Summary(
        k=3,
        decided_by="chord",
        k_min=1,
        k_max=6,
        rows=100,
        sse=100 / 3 + 1 / 3,
        explained=1 - 1 / 3,
        silhouette=0.5,
        features=2,
        warnings=1,
        curve=((1, 100.3), (2, 50.33), (3, 33.67), (4, 25.33), (5, 20.33), (6, 17.0)),
        created_at="2026-01-01T00:00:00+00:00",
    )


def test_the_same_features_in_any_order_are_one_set():
    one, turned, other = (
        dataclasses.replace(FULL, features=tuple(Feature(name, 0.0, 1.0) for name in names)).summary()
        for names in ("ab", "ba", "ac")
    )

    assert one.feature_set == turned.feature_set != other.feature_set


@pytest.mark.parametrize(
    ("value", "digits", "spread", "written"),
    [
        (123456.789, 6, 0.0, 123457.0),
        (0.000123456789, 3, 0.0, 0.000123),
        (-2 / 3, 2, 0.0, -0.67),
        (1000.123456, 3, 0.0, 1000.0),
        (1000.123456, 3, 0.02, 1000.1235),
        (-1000.123456, 3, 0.02, -1000.1235),
        (1000.123456, 3, 5000.0, 1000.0),
        (1e9 + 0.123456789, 6, 1e-12, 1e9 + 0.123456789),
        (math.inf, 3, 0.5, math.inf),
        (0.0, 3, 0.5, 0.0),
    ],
)
def test_a_value_keeps_the_digits_that_tell_it_from_its_like(value, digits, spread, written):
    assert significant(value, digits, spread) == pytest.approx(written, rel=1e-15)


def test_six_digits_are_kept_unless_told_otherwise():
    assert (significant(1234567.0), significant(0.1234567)) == (1234570.0, 0.123457)


def test_a_field_that_this_version_does_not_know_is_passed_over():
    assert Report.from_json({**FULL.to_json(), "added_later": 1}) == FULL


def changed_point(**changes: Any) -> dict[str, Any]:
    """Return a report in which the point of the chosen k has changed, and k with it."""
    value = FULL.to_json()
    curve = [{**point, **changes} if point["k"] == FULL.k else point for point in value["curve"]]
    return {**value, "curve": curve, "k": changes.get("k", FULL.k), "profiles": []}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "^report: Expected `object`, got `null`$"),
        ("none", "^report: JSON is malformed: invalid character"),
        ('"text"', "^report: Expected `object`, got `str`$"),
        (
            {**FULL.to_json(), "schema_version": SCHEMA_VERSION + 1},
            f"^This report has schema version {SCHEMA_VERSION + 1}, and this plugin reads up to "
            f"{SCHEMA_VERSION}; update airflow-segmentation$",
        ),
        (
            {"schema_version": SCHEMA_VERSION + 1, "k": "of another kind by then"},
            "^This report has schema version",
        ),
        ({**FULL.to_json(), "schema_version": "1"}, r"^report\.schema_version: Expected `int`, got `str`$"),
        ({**FULL.to_json(), "k": "3"}, r"^report\.k: Expected `int`, got `str`$"),
        ({**FULL.to_json(), "k": True}, r"^report\.k: Expected `int`, got `bool`$"),
        ({**FULL.to_json(), "k": 3.0}, r"^report\.k: Expected `int`, got `float`$"),
        ({**FULL.to_json(), "k": 7}, "k=7 is not on its curve"),
        ({**FULL.to_json(), "curve": 3}, r"^report\.curve: Expected `array`, got `int`$"),
        ({**FULL.to_json(), "curve": [1]}, r"^report\.curve\[0\]: Expected `object`, got `int`$"),
        ({**FULL.to_json(), "fit": "guess"}, r"^report\.fit: Invalid enum value 'guess'$"),
        ({**FULL.to_json(), "features": []}, r"^report\.features: Expected `array` of length >= 1$"),
        ({**FULL.to_json(), "sample": [[1.0] * 99]}, r"report\.sample should hold \d values, not 99"),
        (changed_point(sizes=[1]), r"report\.curve\.sizes at k=\d should hold \d values, not 1"),
        (changed_point(sizes=[0] * FULL.k), r"report\.curve\.sizes at k=\d should hold a row"),
        (
            changed_point(centers=[[1.0]] * FULL.k),
            r"report\.curve\.centers at k=3 should hold 2 values, not 1$",
        ),
        (changed_point(centers=[[1.0, 2.0]]), r"^report\.curve\.centers at k=3 should hold 3 values, not 1$"),
        (changed_point(k=10**9), r"^report\.k: Expected `int` <= 10000$"),
        ({"schema_version": 1}, "^report: Object missing required field `k`$"),
    ],
)
def test_what_is_no_report_says_why(value, message):
    with pytest.raises(ReportError, match=message):
        Report.from_json(value)


def test_numpy_values_are_refused_rather_than_stored():
    import numpy as np

    with pytest.raises(TypeError, match=r"numpy\.int64 is unsupported"):
        dataclasses.replace(FULL, rows=np.int64(3)).to_json()


def test_what_is_none_or_empty_is_not_written_and_a_score_that_is_no_number_is_none():
    point = dataclasses.replace(FULL.curve[0], scores={"silhouette": math.nan, "davies_bouldin": math.inf})
    written = report(curve=(point,), k=1, random_state=None).to_json()

    assert written["curve"] == [
        {"k": 1, "sse": 100.0, "explained": 0.0, "sizes": [100], "centers": [[0.123456] * 2]}
    ]
    assert not {"random_state", "sample", "warnings", "stability"} & written.keys()
    assert written["schema_version"] == SCHEMA_VERSION
    assert Report.from_json(written).curve[0].scores == {}


@pytest.mark.parametrize("as_text", [True, False])
def test_a_report_of_before_scores_had_a_place_of_their_own_has_them(as_text):
    older = {**FULL.to_json(), "schema_version": 1}
    older["curve"][2] |= {"silhouette": 0.5, "davies_bouldin": 0.25}
    kept = json.dumps(older)

    read = Report.from_json(kept if as_text else older)

    assert read.chosen.scores == {"silhouette": 0.5, "davies_bouldin": 0.25}
    assert json.dumps(older) == kept


def replaced(path: str, value: Any) -> dict[str, Any]:
    """Return a report as JSON in which what stands at a path, such as `curve.0.sse`, is another value."""
    changed = json.loads(json.dumps(FULL.to_json()))
    *way, last = (int(step) if step.isdigit() else step for step in path.split("."))
    item = changed
    for step in way:
        item = item[step]
    item[last] = value
    return changed


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, 1e151, -1e151, "1", True, None])
@pytest.mark.parametrize(
    "path", ["sensitivity", "features.0.minimum", "curve.0.sse", "curve.0.explained", "sample.0.0"]
)
def test_a_number_that_is_none_or_beyond_bounds_is_no_number(path, value):
    for read in (replaced(path, value), json.dumps(replaced(path, value))):
        with pytest.raises(ReportError, match=r"^report\b"):
            Report.from_json(read)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("rows", -1),
        ("rows", 10**16),
        ("k", 0),
        ("k_min", 0),
        ("k_max", 10**400),
        ("random_state", 10**30),
        ("sensitivity", -1.0),
        ("fit_rows", -1),
        ("curve.0.sse", -1.0),
        ("curve.0.explained", 2.0),
        ("curve.0.scores", {"silhouette": -1.1}),
        ("curve.0.scores", {"calinski_harabasz": -1.0}),
        ("curve.0.scores", {"silhouette": 10**400}),
        ("curve.0.scores", {str(i): 1.0 for i in range(51)}),
        ("curve.0.seconds", -1.0),
        ("curve.0.iterations", -1),
        ("curve.0.sizes", [-1]),
        ("curve.0.sizes", [1] * 501),
        ("curve.0.centers", [[0.0]] * 501),
        ("curve", [FULL.to_json()["curve"][2]] * 1_001),
        ("features", [FULL.to_json()["features"][0]] * 2_001),
        ("features.0.name", "x" * 64_001),
        ("sample", [[1.0, 2.0]] * 1_001),
        ("sample.0", [1.0] * 2_001),
        ("choices", [{"method": "chord"}] * 8),
        ("choices.0.method", "magic"),
        ("choices.0.k", -3),
        ("method", "magic"),
        ("decided_by", "magic"),
        ("half_range", {"method": "given", "k": 2}),
        ("stability.method", "magic"),
        ("stability.counts.0.times", -1),
        ("stability.counts.0.k", 10**9),
        ("profiles.0.mean.0", math.inf),
        ("dropped.0.rows", -1),
        ("warnings", ["careful"] * 2_001),
        ("warnings.0", "x" * 64_001),
        ("data_uri", "x" * 64_001),
    ],
)
def test_what_is_beyond_bounds_or_unknown_is_refused(path, value):
    for read in (replaced(path, value), json.dumps(replaced(path, value))):
        with pytest.raises(ReportError, match=r"^report\b"):
            Report.from_json(read)


@pytest.mark.parametrize(
    "text", ["", "[" * 100_000, '{"k":' * 100_000, '{"k": NaN}', '{"k": 1' + "0" * 5_000 + "}"]
)
@pytest.mark.parametrize("kind", [Report, Summary, Progress])
def test_a_text_that_holds_no_record_says_so(kind, text):
    with pytest.raises(ReportError, match=kind.__name__.lower()):
        kind.from_json(text)


def test_a_curve_too_long_and_segments_too_many_for_a_page_are_left_out():
    many = tuple(
        CurvePoint(k, 1e6 / k, 1 - 1 / k, sizes=(1,) * k, centers=((0.5, 0.5),) * k) for k in range(1, 1_501)
    )
    long = report(k=901, curve=many, k_max=1_500, choices=(Choice("chord", 778),), profiles=(), sample=())

    read = Report.from_json(long.to_json())

    assert len(json.dumps(long.to_json())) <= MAX_REPORT_BYTES
    assert {1, 778, 901} <= {point.k for point in read.curve} <= set(range(1, 1_501))
    assert len(read.curve) <= 302
    assert read.chosen.centers is None
    assert read.left_out[:2] == ("1199 of 1500 points of the curve", "the segments of each k above 500")
    assert len(Summary.from_json(long.summary().to_json()).curve) == 300
    progress = Progress(done=1_500, total=1_500, curve=tuple((float(point.k), point.sse) for point in many))
    assert len(Progress.from_json(progress.to_json()).curve) == 300


@settings(max_examples=15)
@given(
    k_max=st.integers(2, 60), features=st.integers(1, 60), k=st.integers(1, 60), sampled=st.integers(0, 500)
)
def test_a_report_stays_small_and_keeps_the_chosen_centres(k_max, features, k, sampled):
    k = min(k, k_max)
    large = report(
        k,
        k_max,
        features,
        sample=((0.123456,) * features,) * sampled,
        profiles=tuple(Profile(f"c{index}", *((0.123456,) * k,) * 4) for index in range(features)),
    )
    written = large.to_json()
    assert len(json.dumps(written)) <= MAX_REPORT_BYTES
    read = Report.from_json(written)
    assert read.chosen.centers == large.chosen.centers
    assert (read == large) != bool(read.left_out)
    assert [point.k for point in read.curve] == [point.k for point in large.curve]


def large(k=20, k_max=49, features=8, sampled=0, profiles=0, trusted=False) -> Report:
    """Return a report of many digits."""
    value = 0.123456
    return report(
        k,
        k_max,
        features,
        curve=tuple(
            CurvePoint(
                k,
                1.0,
                0.5,
                sizes=(10_000,) * k,
                centers=((value,) * features,) * k,
                jaccard=(0.25,) * k if trusted else None,
            )
            for k in range(1, k_max + 1)
        ),
        sample=((value,) * features,) * sampled,
        profiles=tuple(Profile(f"column {index}", *((value,) * k,) * 4) for index in range(profiles)),
    )


def with_centers(report: Report) -> list[int]:
    return [point.k for point in report.curve if point.centers is not None]


def test_what_a_page_needs_least_is_left_out_and_no_more_than_must_be():
    read = Report.from_json(large(k=60, k_max=100, features=16, sampled=300, profiles=16).to_json())

    left = with_centers(read)
    assert MAX_REPORT_BYTES - 15_000 < len(json.dumps(read.to_json())) <= MAX_REPORT_BYTES
    # Those about the chosen k stay, as many on one side as on the other.
    assert left == list(range(left[0], left[-1] + 1))
    assert abs((60 - left[0]) - (left[-1] - 60)) <= 1
    assert 1 < left[0] < 59
    assert all(point.sizes is not None for point in read.curve)
    assert len(read.sample) == 300
    assert len(read.profiles) == 16
    assert read.left_out == (f"centres but for k={left[0]}..{left[-1]}",)


def test_how_sure_segments_are_takes_the_place_of_centres_far_from_the_chosen_k():
    read = Report.from_json(large(k=7, k_max=150, features=3, sampled=150, trusted=True).to_json())

    assert all(point.jaccard is not None for point in read.curve)
    assert len(read.sample) == 150
    left = with_centers(read)
    assert left == list(range(1, left[-1] + 1))
    assert 7 < left[-1] < 150
    assert read.left_out == (f"centres but for k=1..{left[-1]}",)


def test_how_sure_segments_are_goes_after_the_centres_and_before_the_sizes():
    read = Report.from_json(large(k=60, k_max=200, features=8, profiles=60, trusted=True).to_json())

    trusted = [point.k for point in read.curve if point.jaccard is not None]
    assert with_centers(read) == [59, 60, 61]
    assert trusted == list(range(1, trusted[-1] + 1))
    assert 61 < trusted[-1] < 200
    assert all(point.sizes is not None for point in read.curve)
    assert read.left_out == ("centres but for k=59..61", f"trust in segments but for k=1..{trusted[-1]}")


def test_of_the_k_that_a_person_compares_everything_stays_with_60_features_up_to_200():
    choices = tuple(
        Choice(method, k) for method, k in (("kneedle", 20), ("silhouette", 2), ("gap", 12), ("chord", 50))
    )
    full = large(k=20, k_max=200, features=60, sampled=300, profiles=60, trusted=True)
    read = Report.from_json(dataclasses.replace(full, choices=choices).to_json())

    for k in (2, 12, 19, 20, 21, 50):
        point = next(point for point in read.curve if point.k == k)
        assert (point.centers, point.sizes) == (full.curve[k - 1].centers, full.curve[k - 1].sizes)
        assert point.jaccard is not None
    assert len(read.sample) == 300
    assert len(read.profiles) == 60
    assert "centres but for k=2, 12, 19..21, 50" in read.left_out


def test_every_k_up_to_49_of_17_features_keeps_its_segments():
    read = Report.from_json(
        large(k=20, k_max=49, features=17, sampled=300, profiles=17, trusted=True).to_json()
    )

    assert with_centers(read) == list(range(1, 50))
    assert all(point.sizes is not None and point.jaccard is not None for point in read.curve)
    assert (len(read.sample), read.left_out) == (300, ())


def test_profiles_of_columns_that_were_not_clustered_go_first():
    read = Report.from_json(large(k=60, k_max=61, features=30, profiles=200, sampled=100).to_json())

    kept = len(read.profiles)
    assert 30 <= kept < 200
    assert len(read.sample) == 100
    assert with_centers(read) == [59, 60, 61]
    assert f"the profiles of {200 - kept} columns" in read.left_out


def test_of_the_rows_to_draw_as_many_stay_as_have_room():
    wide = large(k=2, k_max=3, features=120, sampled=400)
    read = Report.from_json(wide.to_json())

    kept = len(read.sample)
    assert 100 <= kept < 400
    assert read.sample == wide.sample[:kept]
    assert MAX_REPORT_BYTES - 3_000 < len(json.dumps(read.to_json())) <= MAX_REPORT_BYTES
    assert read.left_out == ("centres but for k=2", f"all but {kept} of the rows to draw")


def test_of_more_features_than_have_room_the_first_stay_with_their_centres():
    many = report(k=20, k_max=21, features=2_000, sample=(tuple(map(float, range(2_000))),))
    read = Report.from_json(many.to_json())

    kept = len(read.features)
    assert 500 < kept < 2_000
    assert read.features == many.features[:kept]
    assert read.chosen.centers == tuple(centre[:kept] for centre in many.chosen.centers or ())
    assert read.chosen.sizes == many.chosen.sizes
    assert read.left_out[0] == f"all but the first {kept} of 2000 features"
    assert all(len(row) == kept for row in read.sample)
    assert len(json.dumps(read.to_json())) > MAX_REPORT_BYTES - 10_000


def following(made: Report, count: int) -> Report:
    """Return a report whose segments follow on so many published ones, told in many digits."""
    width, value = len(made.features), 0.123456
    return dataclasses.replace(
        made,
        curve=tuple(dataclasses.replace(point, numbers=tuple(range(7, 7 + point.k))) for point in made.curve),
        published=PublishedBefore(
            version=2,
            numbers=tuple(range(count)),
            names=("n" * 80,) * count,
            shares=(value,) * count,
            next_number=count,
            centers=((value,) * width,) * count,
            scale=(value,) * width,
            spacing=(value,) * count,
            migration=((1234,) * made.k,) * count,
            psi=(value,) * width,
            psi_shares=value,
            psi_by_chance=value,
        ),
    )


@settings(max_examples=15)
@given(k_max=st.integers(2, 70), features=st.integers(1, 60), count=st.integers(1, 60))
def test_a_report_beside_published_segments_stays_small_and_tells_every_number(k_max, features, count):
    made = following(large(k=2, k_max=k_max, features=features, profiles=features, sampled=300), count)
    written = made.to_json()
    assert len(json.dumps(written)) <= MAX_REPORT_BYTES
    read = Report.from_json(written)
    assert (read == made) != bool(read.left_out)
    for point, before in zip(read.curve, made.curve, strict=True):
        assert point.numbers == (before.numbers if point.sizes else None)
    assert read.published is not None
    assert read.published.migration == made.published.migration


def test_where_features_have_no_room_segments_are_not_told_to_have_moved():
    read = Report.from_json(following(report(k=20, k_max=21, features=2_000), 20).to_json())

    kept = len(read.features)
    assert 200 < kept < 2_000
    assert read.published is not None
    assert (read.published.centers, read.published.spacing, read.published.psi) == (None, (), ())
    assert read.chosen.numbers == tuple(range(7, 27))
    assert "how far segments and features moved" in read.left_out


def test_centres_of_published_segments_go_before_sizes():
    read = Report.from_json(following(large(k=20, k_max=150, features=200), 99).to_json())

    assert read.published is not None
    assert read.published.centers is None
    assert all(point.sizes is not None for point in read.curve)
    assert len(json.dumps(read.to_json())) <= MAX_REPORT_BYTES


def test_more_published_segments_than_a_chart_can_show_are_left_out():
    made = following(report(k=3), 501)
    read = Report.from_json(dataclasses.replace(made, profiles=()).to_json())

    assert read.published is None
    assert read.chosen.numbers == (7, 8, 9)
    assert "the published segments, of which there are more than 500" in read.left_out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"numbers": [0, 0]}, r"published\.numbers should differ"),
        ({"numbers": [0, -1]}, r"published\.numbers\[\.*1*\.*\]: Expected `int` >= 0"),
        ({"names": ["a"]}, r"published\.names should hold 2 values, not 1"),
        ({"shares": [0.5, 2.0]}, "Expected `float` <= 1"),
        ({"spacing": [1.0]}, r"published\.spacing should hold 2 values"),
        ({"scale": [1.0]}, "published should hold 2 values, not 1"),
        ({"centers": [[1.0, 2.0], [1.0]]}, "published should hold 2 values, not 1"),
        ({"psi": [1.0]}, r"published\.psi should hold 2 values"),
        ({"migration": [[1, 2, 3]]}, r"published\.migration should hold 2 values"),
        ({"migration": [[1, 2, 3], [1]]}, r"published\.migration should hold 3 values"),
    ],
)
def test_published_segments_that_do_not_fit_are_refused(changes, message):
    value = following(FULL, 2).to_json()
    with pytest.raises(ReportError, match=message):
        Report.from_json({**value, "published": {**value["published"], **changes}})


def test_numbers_of_a_point_differ():
    with pytest.raises(ReportError, match=r"report\.curve\.numbers at k=3 should differ"):
        Report.from_json(changed_point(numbers=[4, 4, 5]))


def test_so_many_segments_as_a_chart_can_show_are_told():
    curve = tuple(CurvePoint(k, 1.0, 0.5, sizes=(1,) * k) for k in (500, 501))
    profile = Profile("a", *((1.0,) * 500,) * 4)
    read = Report.from_json(report(k=500, curve=curve, profiles=(profile,)).to_json())

    assert [point.sizes is None for point in read.curve] == [False, True]
    assert read.profiles == (profile,)
    assert read.left_out == ("the segments of each k above 500",)


def test_the_last_profiles_go_where_all_else_has_gone():
    read = Report.from_json(large(k=60, k_max=60, features=2, profiles=200).to_json())

    kept = len(read.profiles)
    assert 0 < kept < 200
    assert [profile.column for profile in read.profiles] == [f"column {index}" for index in range(kept)]
    assert MAX_REPORT_BYTES - 3_000 < len(json.dumps(read.to_json())) <= MAX_REPORT_BYTES
    assert [point.k for point in read.curve if point.sizes is not None] == [59, 60]
    assert read.left_out == (
        "centres but for k=59..60",
        "sizes but for k=59..60",
        f"the profiles of {200 - kept} columns",
    )


@pytest.mark.parametrize("kind", [Summary, Progress])
def test_a_curve_of_anything_but_pairs_is_no_curve(kind):
    good = FULL.summary() if kind is Summary else Progress(done=1, total=2, curve=((1.0, 2.0),))

    with pytest.raises(ReportError, match=r"\.curve\[0\]: Expected `array` of length 2, got 1$"):
        kind.from_json({**good.to_json(), "curve": [[1]]})
