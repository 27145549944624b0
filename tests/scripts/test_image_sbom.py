"""Without Docker; with it `tests/compose` has the list of the image."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from local_airflow import ROOT


@pytest.mark.parametrize(
    "client", [None, "#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n"]
)
def test_where_docker_does_not_run_it_is_said_and_no_old_list_stays(tmp_path: Path, client: str | None):
    if client is not None:
        (tmp_path / "docker").write_text(client)
        (tmp_path / "docker").chmod(0o755)
    listed = tmp_path / "image.cdx.json"
    listed.write_text("of another image")

    told = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "image_sbom.py"), str(listed)],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert told == f"Docker does not run here: there is no {listed}, and the image is not listed\n"
    assert not listed.exists()
