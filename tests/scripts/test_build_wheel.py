from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from build_wheel import build

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def of_a_commit() -> None:
    """Skip where there is a copy of the files without git's history."""
    if subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True).returncode:
        pytest.skip("No commit to build a wheel of: clone the repository")


def test_two_builds_are_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = build(tmp_path / "one").read_bytes()
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    before = os.umask(0o077)
    try:
        second = build(tmp_path / "other").read_bytes()
    finally:
        os.umask(before)

    assert first == second


def test_what_lies_about_in_a_checkout_is_not_in_the_wheel(tmp_path: Path):
    stray = ROOT / "plugins" / "airflow_segmentation" / "www" / "static" / "stray-file-of-a-test.js"
    stray.write_text("")
    try:
        built = build(tmp_path)
    finally:
        stray.unlink()

    with zipfile.ZipFile(built) as archive:
        names = archive.namelist()
    assert "airflow_segmentation/plugin.py" in names
    assert not [name for name in names if "stray" in name]
