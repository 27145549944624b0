"""The shipped customers: made by the script beside them, and shaped like the published figures."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

DATA = Path(__file__).resolve().parents[2] / "data"
SCRIPT = DATA / "make_customers.py"
FEATURES = ["BALANCE", "PURCHASES", "CREDIT_LIMIT"]
FIGURES = pd.read_csv(DATA / "customer_columns.csv", index_col="column")
CORRELATION = pd.read_csv(DATA / "customer_rank_correlation.csv", index_col="column")
QUANTILES = {label: int(label[1:]) / 100 for label in FIGURES.columns if label[1:].isdigit()}
ZERO_TOGETHER = [
    ("BALANCE", "BALANCE_FREQUENCY"),
    ("PURCHASES", "PURCHASES_FREQUENCY"),
    ("PURCHASES", "PURCHASES_TRX"),
    ("ONEOFF_PURCHASES", "ONEOFF_PURCHASES_FREQUENCY"),
    ("INSTALLMENTS_PURCHASES", "PURCHASES_INSTALLMENTS_FREQUENCY"),
    ("CASH_ADVANCE", "CASH_ADVANCE_FREQUENCY"),
    ("CASH_ADVANCE", "CASH_ADVANCE_TRX"),
]
SHARES = [name for name in FIGURES.index if name.endswith("_FREQUENCY") or name == "PRC_FULL_PAYMENT"]


@pytest.fixture(scope="module")
def customers() -> pd.DataFrame:
    return pd.read_csv(DATA / "file.csv")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_customers", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_script_reproduces_the_file_byte_for_byte(tmp_path: Path) -> None:
    output = tmp_path / "made.csv"
    subprocess.run([sys.executable, SCRIPT, output], check=True, cwd=tmp_path)
    assert output.read_bytes() == (DATA / "file.csv").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["made.csv"]


def test_columns_are_the_published_ones(customers: pd.DataFrame) -> None:
    assert list(customers.columns) == ["CUST_ID", *FIGURES.index]
    assert len(customers) == 8950
    assert all(pd.api.types.is_numeric_dtype(customers[name]) for name in FIGURES.index)


def test_ids_rise_from_c10001_with_gaps(customers: pd.DataFrame) -> None:
    ids = customers["CUST_ID"]
    assert ids.str.fullmatch(r"C\d{5}").all()
    assert ids.is_unique
    assert ids.is_monotonic_increasing
    assert ids.iloc[0] == "C10001"
    assert ids.iloc[-1] > "C18950"


def test_missing_values_are_as_many_and_fall_on_different_rows(customers: pd.DataFrame) -> None:
    assert customers[FIGURES.index].isna().sum().to_dict() == FIGURES["missing"].to_dict()
    assert len(customers.dropna()) == 8636
    assert len(customers.dropna(subset=FEATURES)) == 8949


@pytest.mark.parametrize("name", FIGURES.index)
def test_mean_and_zeros_are_near_the_published_ones(customers: pd.DataFrame, name: str) -> None:
    assert customers[name].mean() == pytest.approx(FIGURES.loc[name, "mean"], rel=0.01)
    assert (customers[name] == 0).mean() == pytest.approx(FIGURES.loc[name, "zero_share"], abs=0.0002)


@pytest.mark.parametrize("name", [name for name in FIGURES.index if name not in SHARES])
def test_quantiles_are_within_two_percent_of_the_published_ones(customers: pd.DataFrame, name: str) -> None:
    made = customers[name].quantile(list(QUANTILES.values())).to_numpy()
    published = FIGURES.loc[name, list(QUANTILES)].to_numpy(dtype=float)
    # The smallest amounts, of next to nothing, are near in money rather than in percent.
    np.testing.assert_allclose(made, published, rtol=0.02, atol=10 if name == "PURCHASES" else 0.01)


@pytest.mark.parametrize("name", SHARES)
def test_quantiles_of_shares_are_within_half_a_month(customers: pd.DataFrame, name: str) -> None:
    made = customers[name].quantile(list(QUANTILES.values())).to_numpy()
    published = FIGURES.loc[name, list(QUANTILES)].to_numpy(dtype=float)
    np.testing.assert_allclose(made, published, atol=0.5 / 12)


@pytest.mark.parametrize("name", FEATURES)
def test_range_of_each_feature_is_the_published_one(customers: pd.DataFrame, name: str) -> None:
    assert customers[name].min() == FIGURES.loc[name, "q000"]
    assert customers[name].max() == pytest.approx(FIGURES.loc[name, "q100"], abs=1e-4)


def test_rank_correlations_are_near_the_published_ones(customers: pd.DataFrame) -> None:
    made = customers[FIGURES.index].corr(method="spearman").to_numpy()
    error = np.abs(made - CORRELATION.to_numpy())[np.triu_indices(len(FIGURES), k=1)]
    assert error.mean() < 0.006
    assert error.max() < 0.03


@pytest.mark.parametrize(("amount", "companion"), ZERO_TOGETHER)
def test_zeros_coincide(customers: pd.DataFrame, amount: str, companion: str) -> None:
    assert ((customers[amount] == 0) == (customers[companion] == 0)).all()


def test_purchases_are_the_sum_of_their_kinds_in_all_but_a_few_rows(customers: pd.DataFrame) -> None:
    kinds = customers["ONEOFF_PURCHASES"] + customers["INSTALLMENTS_PURCHASES"]
    near = (customers["PURCHASES"] - kinds).abs() <= 1
    assert 0.9975 <= near.mean() < 0.9985


def test_limits_are_multiples_of_fifty_in_all_but_a_few_rows(customers: pd.DataFrame) -> None:
    multiple = customers["CREDIT_LIMIT"].dropna() % 50 == 0
    assert 0.9985 <= multiple.mean() < 0.9995


def test_balances_seldom_pass_the_limit(customers: pd.DataFrame) -> None:
    assert (customers["BALANCE"] > customers["CREDIT_LIMIT"]).mean() < 0.03


@pytest.mark.parametrize("name", SHARES)
def test_frequencies_count_months(customers: pd.DataFrame, name: str) -> None:
    months = customers["TENURE"] - (name == "BALANCE_FREQUENCY")
    counted = customers[name] * months
    np.testing.assert_allclose(counted, counted.round(), atol=1e-5)


def test_tenure_is_twelve_for_most_and_six_or_more_for_all(customers: pd.DataFrame) -> None:
    assert set(customers["TENURE"]) == set(range(6, 13))
    assert (customers["TENURE"] == 12).mean() == pytest.approx(0.847, abs=0.001)


def test_test_customer_is_the_tutorials(customers: pd.DataFrame) -> None:
    (customer,) = pd.read_csv(DATA / "test.csv").to_dict("records")
    assert list(customer) == list(customers.columns)
    assert [customer[name] for name in FEATURES] == [3202.467416, 124.5, 241514]
    assert customer["CUST_ID"] not in set(customers["CUST_ID"])


@settings(max_examples=5)
@given(seed=st.integers(0, 2**32 - 1))
def test_rules_hold_whatever_the_scores(script: ModuleType, seed: int) -> None:
    columns, correlation = script.read_figures()
    ladders = script.make_ladders(columns)
    scores = script.draw_scores(np.random.RandomState(seed), len(ladders))
    table = script.make_table(scores @ script.factor(correlation.to_numpy()).T, ladders)
    for amount, companion in ZERO_TOGETHER:
        assert ((table[amount] == 0) == (table[companion] == 0)).all()
    kinds = table["ONEOFF_PURCHASES"] + table["INSTALLMENTS_PURCHASES"]
    np.testing.assert_allclose(table["PURCHASES"], kinds, atol=0.01)
    assert table["PURCHASES"].max() == FIGURES.loc["PURCHASES", "q100"]
    assert table["MINIMUM_PAYMENTS"].notna()[table["PAYMENTS"] > 0].sum() == 8950 - 313
    assert (table["BALANCE"] > table["CREDIT_LIMIT"]).mean() < 0.03
