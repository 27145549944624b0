"""Build the wheel of a commit: the same bytes whoever builds it, wherever and whenever.

``python scripts/build_wheel.py dist`` writes it there and prints its SHA-256 digest. What is built is what
git has of the commit, with its time and modes, so nothing that lies about in a checkout gets in.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
"""What `pip wheel .` calls. It needs no network: setuptools is installed with the tests."""


def build(folder: Path, commit: str = "HEAD") -> Path:
    """Build the wheel of a commit in a folder, and return where it is."""
    archive = git("archive", "--format=zip", commit)
    folder.mkdir(parents=True, exist_ok=True)
    before = os.umask(0o022)
    try:
        with tempfile.TemporaryDirectory() as checkout:
            with zipfile.ZipFile(io.BytesIO(archive)) as files:
                files.extractall(checkout)
            time = git("show", "--no-patch", "--format=%ct", commit).decode().strip()
            subprocess.run(
                [sys.executable, "-c", BUILD, str(folder.resolve())],
                cwd=checkout,
                env=os.environ | {"SOURCE_DATE_EPOCH": time},
                stdout=subprocess.DEVNULL,
                check=True,
            )
    finally:
        os.umask(before)
    return max(folder.glob("*.whl"), key=lambda wheel: wheel.stat().st_mtime)


def git(*arguments: str) -> bytes:
    """Return what git prints."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout


def main(folder: str = "dist") -> None:
    """Build, and print where the wheel is and its digest."""
    wheel = build(Path(folder))
    print(f"{hashlib.sha256(wheel.read_bytes()).hexdigest()}  {wheel}")


if __name__ == "__main__":
    main(*sys.argv[1:])
