"""Make `file.csv`: 8,950 credit card customers who never existed, with the shape of a public data set.

The figures beside this script, `customer_columns.csv` and `customer_rank_correlation.csv`, describe the
public "Credit Card Dataset for Clustering" (Kaggle, arjunbhasin2013/ccdata, CC0): mean, missing values, share
of zeros and quantiles of each column, and the Spearman rank correlation of each pair. No row of the original
is in here.

How a table comes out of figures:

1. A *ladder* for each column: its values in rising order, through the published quantiles, with the published
   mean.
2. A Gaussian copula: a normal score for each customer and column; customers climb each ladder in the order of
   their scores. (Nelsen, An Introduction to Copulas, 2006.)
3. Rules that hold in any such table: who buys nothing buys with no frequency, purchases are the sum of their
   kinds, frequencies count months, a balance seldom passes the credit limit.
4. The rules and the ties bend the correlations, so the scores' correlation is corrected by what is still
   missing, and steps 2 and 3 repeat.

The result is the same, byte for byte, on every machine. The stream of `RandomState` is frozen; scores are
whole numbers, small enough for their sums of products to be exact in any order; values come of ranks, and of
operations that IEEE 754 rounds correctly; what it does not (logarithms, decompositions) is rounded at once.

    python data/make_customers.py [OUTPUT]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).resolve().parent
SEED = 8950
CUSTOMERS = 8950
ROUNDS = 60
"""Corrections of the correlation: the mean error falls from 0.0062 after twenty to 0.0047 after sixty."""
SCALE = 1e6
"""Scores and factors are whole millionths: 17 products of them stay below 2**53, hence exact."""

LEADERS = {
    "BALANCE_FREQUENCY": "BALANCE",
    "PURCHASES_FREQUENCY": "PURCHASES",
    "PURCHASES_TRX": "PURCHASES",
    "ONEOFF_PURCHASES_FREQUENCY": "ONEOFF_PURCHASES",
    "PURCHASES_INSTALLMENTS_FREQUENCY": "INSTALLMENTS_PURCHASES",
    "CASH_ADVANCE_FREQUENCY": "CASH_ADVANCE",
    "CASH_ADVANCE_TRX": "CASH_ADVANCE",
}
"""Frequencies and counts, and the amount that they are zero with."""

TENURES = {6: 204, 7: 190, 8: 196, 9: 175, 10: 236, 11: 365, 12: 7584}
"""Customers by months on the books: 84.7 % at 12, the rest spread so that mean and quantiles fit."""

EXTRA_QUANTILES = {
    "BALANCE_FREQUENCY": {0.30: 1.0},
    "PURCHASES_FREQUENCY": {0.757: 1.0},
    "ONEOFF_PURCHASES_FREQUENCY": {0.946: 1.0},
    "PURCHASES_INSTALLMENTS_FREQUENCY": {0.45: 0.0833, 0.70: 0.6667, 0.851: 1.0},
    "PRC_FULL_PAYMENT": {0.945: 1.0},
}
"""Where the published quantiles are too coarse for a column that piles up at 1: by hand, to meet its mean."""

BOTH_KINDS = 2
"""How many times larger one-off purchases are, before they fit the sum, where a customer also pays by
instalments. At 2 the correlations of PURCHASES with both its kinds come out right; below and above, one is
too high."""
SWEEPS = 10
"""Turns of fitting the two kinds of purchases to their sum, and back to their ladders; more change little."""

OVER_LIMIT = 1.05
"""The largest balance, in credit limits, for which the limit stays as drawn."""
ODD_LIMITS = 9
"""Customers whose limit is no multiple of 50."""
ODD_SUMS = 18
"""Customers whose purchases are not the sum of their kinds."""


def read_figures() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the figures of each column and the rank correlation of each pair, in the columns' order."""
    columns = pd.read_csv(HERE / "customer_columns.csv", index_col="column")
    correlation = pd.read_csv(HERE / "customer_rank_correlation.csv", index_col="column")
    return columns, correlation


def make_ladders(columns: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the ladder of every column; a frequency or count has as many zeros as its amount."""
    columns = columns.assign(
        zero_share=[columns.loc[LEADERS.get(name, name), "zero_share"] for name in columns.index]
    )
    ladders = {str(name): make_ladder(str(name), figures) for name, figures in columns.iterrows()}
    return ladders | {"TENURE": np.repeat(list(TENURES), list(TENURES.values())).astype(float)}


def make_ladder(name: str, figures: pd.Series) -> np.ndarray:
    """Return a column's values in rising order, shape (CUSTOMERS - missing,).

    Between two quantiles the value rises over -log(1 - u), u the share of customers below, partly in a
    straight line and partly as a fourth power (from zero only straight): so much of each that the mean is
    the published one.
    """
    size = CUSTOMERS - int(figures["missing"])
    zeros = round(figures["zero_share"] * CUSTOMERS)
    quantiles = {int(label[1:]) / 100: value for label, value in figures.filter(regex=r"^q\d").items()}
    quantiles = {share: value for share, value in quantiles.items() if share * size > zeros or not zeros}
    if zeros:
        quantiles[zeros / size] = 0.0
    knots = sorted((quantiles | EXTRA_QUANTILES.get(name, {})).items())
    ranks = np.rint(np.array([share for share, _ in knots]) * (size - 1)).astype(int)
    values = np.array([value for _, value in knots])

    position = np.round(-np.log(1 - np.arange(size) / size), 9)
    straight = _interpolate(position, position[ranks], values)
    curved = np.square(np.square(_interpolate(position, position[ranks], np.sqrt(np.sqrt(values)))))
    if zeros:
        curved = np.where(position < position[ranks[1]], straight, curved)
    low, high = -1.0, 1.25
    for _ in range(20):
        part = (low + high) / 2
        ladder = _finish(name, straight + part * (curved - straight), zeros)
        if ladder.mean() > figures["mean"]:
            low = part
        else:
            high = part
    return np.maximum.accumulate(ladder)


def _interpolate(x: np.ndarray, knots: np.ndarray, values: np.ndarray) -> np.ndarray:
    """`numpy.interp` step by step: a compiler may fuse its multiplication and addition into one rounding."""
    left = np.clip(np.searchsorted(knots, x, side="right") - 1, 0, len(knots) - 2)
    share = (x - knots[left]) / (knots[left + 1] - knots[left])
    return values[left] + share * (values[left + 1] - values[left])


def _finish(name: str, values: np.ndarray, zeros: int) -> np.ndarray:
    """Round values as the column has them: counts, months of twelve, round limits, cents, millionths."""
    values = np.maximum(values, 0)
    if _is_share(name):
        values = _whole_months(values, np.array(12))
    elif name.endswith("_TRX"):
        values = np.maximum(np.rint(values), 1)
    elif name == "CREDIT_LIMIT":
        step = np.select([values < 1000, values < 2000], [50, 100], 500)
        values = np.rint(values / step) * step
    elif name.endswith("PURCHASES"):
        values = np.maximum(np.round(values, 2), 0.01)
    else:
        values = np.maximum(np.round(values, 6), 0.000001)
    values[:zeros] = 0
    return values


def _is_share(name: str) -> bool:
    return name.endswith("_FREQUENCY") or name == "PRC_FULL_PAYMENT"


def _whole_months(share: np.ndarray, months: np.ndarray) -> np.ndarray:
    return np.maximum(np.rint(share * months), 1) / months


def draw_scores(random: np.random.RandomState, columns: int) -> np.ndarray:
    """Return independent normal scores in whole millionths, shape (CUSTOMERS, columns)."""
    return np.rint(random.standard_normal((CUSTOMERS, columns)) * SCALE)


def factor(correlation: np.ndarray) -> np.ndarray:
    """Return the Cholesky factor, in whole millionths, of the correlation matrix near a symmetric matrix.

    Eigenvalues below a floor are raised to it: the corrected correlations need not fit together.
    """
    values, vectors = np.linalg.eigh(correlation)
    valid = (vectors * np.maximum(values, 0.005)) @ vectors.T
    scale = np.sqrt(np.diag(valid))
    return np.rint(np.linalg.cholesky(valid / np.outer(scale, scale)) * SCALE)


def make_table(scores: np.ndarray, ladders: dict[str, np.ndarray]) -> pd.DataFrame:
    """Return the customers with these scores, shape (CUSTOMERS, 17), in the columns of `ladders`."""
    score = dict(zip(ladders, scores.T, strict=True))
    table = _purchases(score, ladders)
    for name in ("BALANCE", "CASH_ADVANCE", "PAYMENTS", "PRC_FULL_PAYMENT", "TENURE"):
        table[name] = _climb(ladders[name], score[name])
    for name, leader in LEADERS.items():
        table[name] = _climb(ladders[name], score[name], table[leader] > 0)
    for name in filter(_is_share, ladders):
        # The balance is compared month with month, hence once less than there are months.
        months = table["TENURE"] - 1 if name == "BALANCE_FREQUENCY" else table["TENURE"]
        table[name] = np.where(table[name] > 0, np.round(_whole_months(table[name], months), 6), 0)

    limits = ladders["CREDIT_LIMIT"]
    limits = np.insert(limits, CUSTOMERS // 2, limits[CUSTOMERS // 2])
    table["CREDIT_LIMIT"] = _cover(_climb(limits, score["CREDIT_LIMIT"]), table["BALANCE"])

    # Without a payment no minimum payment is on record; the others without one have the smallest balances.
    missing = CUSTOMERS - len(ladders["MINIMUM_PAYMENTS"])
    known = np.sort(np.lexsort((table["BALANCE"], table["PAYMENTS"] > 0))[missing:])
    table["MINIMUM_PAYMENTS"] = np.full(CUSTOMERS, np.nan)
    table["MINIMUM_PAYMENTS"][known] = _climb(ladders["MINIMUM_PAYMENTS"], score["MINIMUM_PAYMENTS"][known])
    return pd.DataFrame(table)[list(ladders)]


def _climb(ladder: np.ndarray, score: np.ndarray, above: np.ndarray | None = None) -> np.ndarray:
    """Give the ladder's values to customers by rising score, to those not `above` before those who are."""
    order = np.argsort(score, kind="stable") if above is None else np.lexsort((score, above))
    values = np.empty(len(ladder))
    values[order] = ladder
    return values


def _purchases(score: dict[str, np.ndarray], ladders: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return purchases and their two kinds; the shares of zeros say how many buy in one way, or in both."""
    one_off, instalments = ladders["ONEOFF_PURCHASES"], ladders["INSTALLMENTS_PURCHASES"]
    buys = _climb(ladders["PURCHASES"], score["PURCHASES"]) > 0
    buys_one_off = _climb(one_off, score["ONEOFF_PURCHASES"], buys) > 0
    must = np.where(buys_one_off, 1, np.where(buys, 2, 0))
    buys_instalments = _climb(instalments, score["INSTALLMENTS_PURCHASES"], must) > 0

    table = {
        "ONEOFF_PURCHASES": _climb(one_off, score["ONEOFF_PURCHASES"], buys_one_off),
        "INSTALLMENTS_PURCHASES": _climb(instalments, score["INSTALLMENTS_PURCHASES"], buys_instalments),
    }
    table["ONEOFF_PURCHASES"] *= np.where(buys_one_off & buys_instalments, BOTH_KINDS, 1)
    for _ in range(SWEEPS):
        total = table["ONEOFF_PURCHASES"] + table["INSTALLMENTS_PURCHASES"]
        wanted = _climb(ladders["PURCHASES"], total)
        table = {
            name: _climb(ladders[name], kind * np.where(buys, wanted / np.where(buys, total, 1), 0))
            for name, kind in table.items()
        }
    # The largest sum sets the scale of the column when scaled to 0..1, so it must be the published one.
    rest = ladders["PURCHASES"][-1] - one_off[-1]
    instalment = table["INSTALLMENTS_PURCHASES"]
    largest, nearest = table["ONEOFF_PURCHASES"].argmax(), np.abs(instalment - rest).argmin()
    instalment[nearest], instalment[largest] = instalment[largest], round(rest, 2)
    table["PURCHASES"] = np.round(table["ONEOFF_PURCHASES"] + instalment, 2)
    return table


def _cover(limits: np.ndarray, balances: np.ndarray) -> np.ndarray:
    """Return the limits, exchanged between customers so that few balances pass them.

    Each customer far over, largest balance first, takes the smallest limit that covers the balance, from a
    customer whose own balance the old limit covers.
    """
    limits = limits.copy()
    far_over = np.flatnonzero(balances > OVER_LIMIT * limits)
    for customer in far_over[np.argsort(-balances[far_over], kind="stable")]:
        fits = (limits >= balances[customer]) & (balances <= limits[customer])
        if fits.any():
            other = np.where(fits, limits, np.inf).argmin()
            limits[customer], limits[other] = limits[other], limits[customer]
    return limits


def fit_table(scores: np.ndarray, ladders: dict[str, np.ndarray], correlation: np.ndarray) -> pd.DataFrame:
    """Return the customers whose rank correlations are near the wanted ones, shape (17, 17)."""
    latent = correlation
    table = make_table(scores @ factor(latent).T, ladders)
    for _ in range(ROUNDS):
        latent = latent + (correlation - table.corr(method="spearman").to_numpy()) / 2
        table = make_table(scores @ factor(latent).T, ladders)
    return table


def add_oddities(table: pd.DataFrame, random: np.random.RandomState) -> pd.DataFrame:
    """Return the table with the flaws of the original: odd limits, odd sums, and one limit missing."""
    table = table.copy()
    plain = table["MINIMUM_PAYMENTS"].notna() & table["CREDIT_LIMIT"].between(1000, 10000)
    odd = random.choice(np.flatnonzero(plain), ODD_LIMITS + 1, replace=False)
    table.loc[odd[1:], "CREDIT_LIMIT"] += random.randint(1, 50, ODD_LIMITS, dtype=np.int64)
    table.loc[odd[0], "CREDIT_LIMIT"] = np.nan

    plain = (table["ONEOFF_PURCHASES"] > 50) & (table["INSTALLMENTS_PURCHASES"] > 50)
    odd = random.choice(np.flatnonzero(plain & (table["PURCHASES"] < 5000)), ODD_SUMS, replace=False)
    table.loc[odd, "PURCHASES"] = np.round(table.loc[odd, "PURCHASES"] * 0.9, 2)
    return table


def make_ids(random: np.random.RandomState) -> list[str]:
    """Return customer ids that rise from C10001 with gaps, as customers who left would leave them."""
    others = np.sort(random.choice(np.arange(10002, 19191), CUSTOMERS - 1, replace=False))
    return [f"C{number:05d}" for number in (10001, *others)]


def make_customers() -> pd.DataFrame:
    """Return the 8,950 customers with their 18 columns."""
    columns, correlation = read_figures()
    ladders = make_ladders(columns)
    random = np.random.RandomState(SEED)
    table = fit_table(draw_scores(random, len(ladders)), ladders, correlation.to_numpy())
    table = add_oddities(table, random)
    table.insert(0, "CUST_ID", make_ids(random))
    return table


def main() -> None:
    """Write the customers to a temporary file beside the output, then put it in place."""
    parser = argparse.ArgumentParser(description="Make credit card customers who never existed.")
    parser.add_argument(
        "output", nargs="?", type=Path, default=HERE / "file.csv", help="default: %(default)s"
    )
    output = parser.parse_args().output
    temporary = output.with_name(f".{output.name}.tmp")
    make_customers().to_csv(
        temporary, index=False, float_format="%.12g", lineterminator="\n", encoding="utf-8"
    )
    temporary.replace(output)


if __name__ == "__main__":
    main()
