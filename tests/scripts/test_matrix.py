from __future__ import annotations

import configparser
import subprocess
import sys

import environment
import matrix
import pytest


def test_every_combination_is_run_unless_some_are_named():
    assert len(matrix.chosen([])) == len(matrix.AIRFLOWS) * len(matrix.PYTHONS) - len(matrix.NONE_SUCH)
    assert [cell.name for cell in matrix.chosen(["3.3-py3.13", "3.1-py3.10"])] == ["3.3-py3.13", "3.1-py3.10"]


@pytest.mark.parametrize("name", ["3.1-py3.9", "3.4-py3.10"])
def test_a_combination_that_is_none_names_those_there_are(name):
    with pytest.raises(environment.Problem, match=rf"ONLY={name} should be among 3\.1-py3\.10, "):
        matrix.chosen([name])


def test_the_matrix_is_the_range_that_is_supported():
    config = configparser.ConfigParser()
    config.read(matrix.ROOT / "setup.cfg")
    assert f"apache-airflow>={min(matrix.AIRFLOWS)}" in config["options"]["install_requires"]
    for version in matrix.PYTHONS:
        assert f"Python :: {version}\n" in f"{config['metadata']['classifiers']}\n"
    assert matrix.PYTHONS[0] == "{}.{}".format(*environment.OLDEST)
    assert matrix.PYTHONS[-1] == "{}.{}".format(*environment.NEWEST)


def test_every_folder_and_file_of_tests_that_is_run_is_there():
    named = [*matrix.TESTS, *matrix.LEFT_OUT, *matrix.WITHOUT_AIRFLOW]
    assert all((matrix.ROOT / path).exists() for path in named)


def test_what_knows_no_airflow_is_run_on_the_oldest_and_the_newest_python_alone():
    cells = matrix.chosen(["3.1-py3.10", "3.4-py3.11", "3.4-py3.14"])

    assert ["tests/clustering" in cell.tests for cell in cells] == [True, False, True]
    assert ["tests/tables/test_scaling.py" in cell.tests for cell in cells] == [True, True, True]
    assert ["tests/www/test_words.py" in cell.left_out for cell in cells] == [False, True, False]
    assert all({"tests/www", "tests/operators", "tests/storage"} <= set(cell.tests) for cell in cells)


@pytest.fixture
def no_python(monkeypatch, tmp_path):
    """A machine with no Python but the one that runs, and no network."""
    monkeypatch.setattr(matrix.Path, "home", lambda: tmp_path)
    monkeypatch.setattr(environment, "works", lambda program: False)
    failed = subprocess.CompletedProcess([], 1, "error: no download found\n  Caused by: no network\n")
    monkeypatch.setattr(matrix, "_output", lambda command: failed)
    matrix.python.cache_clear()
    yield
    matrix.python.cache_clear()


def test_a_python_that_cannot_be_had_is_said_so_in_a_line_and_nothing_passes(no_python, capsys):
    assert matrix.main(["3.1-py3.10"]) == 1
    assert capsys.readouterr().out == (
        "3.1-py3.10: not run, since Python 3.10 is not here, and could not be fetched: error: no download "
        "found Caused by: no network\n"
    )


def test_a_combination_without_wheels_says_so_fails_and_keeps_no_other_from_running(
    no_python, monkeypatch, capsys
):
    monkeypatch.setattr(environment, "works", lambda program: True)
    with_no_wheel = subprocess.CompletedProcess([], 1, "No solution found: pyarrow has no wheels\n")
    monkeypatch.setattr(matrix, "_output", lambda command: with_no_wheel)
    assert matrix.main(["3.1-py3.10", "3.2-py3.10"]) == 1
    told = capsys.readouterr().out
    for name in ("3.1-py3.10", "3.2-py3.10"):
        assert f"{name}: cannot be installed. Installing failed:\nNo solution found: pyarrow has no" in told


@pytest.mark.parametrize(
    ("came_of_them", "code"),
    [([True, True], 0), ([True, None], 0), ([True, False], 1), ([None, False], 1), ([None, None], 1)],
)
def test_none_may_fail_and_one_must_pass(monkeypatch, came_of_them, code):
    outcomes = dict(zip(matrix.chosen(["3.1-py3.10", "3.3-py3.13"]), came_of_them, strict=True))
    monkeypatch.setattr(matrix, "run", outcomes.get)
    assert matrix.main(["3.1-py3.10", "3.3-py3.13"]) == code


def test_what_failed_is_told_since_a_log_may_be_gone_with_its_machine(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)  # a developer's own, who may want no summary
    (tmp_path / "test_some.py").write_text("""
import warnings

import pytest

@pytest.fixture
def broken():
    raise OSError("no room")

def test_sound():
    warnings.warn("old")

def test_wrong():
    assert 1 == 2

def test_unready(broken): ...
""")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    log = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout.strip()
    assert all(said in log for said in ("old", "short test summary"))

    told = matrix.failures(log)

    assert all(said in told for said in ("test_wrong", "assert 1 == 2", "test_unready", "OSError: no room"))
    assert not any(said in told for said in ("test_sound", "old", "short test summary"))
    assert matrix.failures("loading conftest.py\nImportError: none such\n1 error") == (
        "loading conftest.py\nImportError: none such"
    ), "where it came to no test"
