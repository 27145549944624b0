from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from airflow_segmentation.storage.scratch import SCRATCH, scratch_folder


def test_a_scratch_folder_goes_with_its_process_or_with_the_next(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    code = (
        "import os, sys; from airflow_segmentation.storage.scratch import scratch_folder\n"
        "with scratch_folder() as folder:\n"
        "    open(folder + '/rows', 'w').write('x'); os.kill(os.getpid(), 9)"
    )
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=env, check=False)
    left = list(tmp_path.iterdir())
    assert len(left) == 1
    others = tmp_path / "segmentation-of-others"
    others.mkdir()
    (tmp_path / f"{SCRATCH}12345678").symlink_to(others, target_is_directory=True)
    with scratch_folder() as first, scratch_folder() as second:
        assert not left[0].exists()
        assert others.exists()
        assert Path(first).is_dir()
        assert Path(second).is_dir()
    assert {path.name for path in tmp_path.iterdir()} == {others.name, f"{SCRATCH}12345678"}
