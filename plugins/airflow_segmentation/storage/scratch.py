"""Local folders for what a process needs for a while."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

SCRATCH = "airflow-segmentation-scratch-"
"""What the name of a scratch folder begins with, and nothing else's: those that are left over are removed."""

in_use: set[str] = set()
"""Scratch folders of this process."""


@contextlib.contextmanager
def scratch_folder() -> Iterator[str]:
    """Make a local folder for this process alone, which is gone afterwards.

    A process that is killed cannot remove its own: whoever comes next does. Each is locked as long as its
    process lives, and has its name only once it is locked.
    """
    parent = Path(tempfile.gettempdir())
    for folder in parent.glob(f"{SCRATCH}????????"):
        with contextlib.suppress(OSError), _locked(folder):
            shutil.rmtree(folder)
    with tempfile.TemporaryDirectory(prefix=f".{SCRATCH}") as new, _locked(Path(new)):
        folder = Path(new).rename(parent / Path(new).name[1:])
        in_use.add(str(folder))
        try:
            yield str(folder)
        finally:
            in_use.discard(str(folder))
            folder.rename(new)


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Lock a folder.

    :raises OSError: if another has locked it, or it is a link.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
