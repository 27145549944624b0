"""Put links where a folder and a file were, and take them away again, without end."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import sys
from pathlib import Path


def main(root: Path) -> None:
    """Swap what is in `root`, so that its paths lead now into it, now into the folder `outside` beside it."""
    outside = root.parent / "outside"
    for number in itertools.count():
        # A folder, and a link in its place.
        (root / "folder").rename(root / "kept")
        with contextlib.suppress(FileExistsError):  # whoever writes there makes it anew
            (root / "folder").symlink_to(outside)
            (root / "folder").unlink()
        while not _renamed(root / "kept", root / "folder"):
            shutil.rmtree(root / "folder", ignore_errors=True)
        # A link that leads in, and one in its place that leads out.
        new = root / f"new-{number % 2}"
        new.symlink_to(outside / "file" if number % 2 else root / "sub" / "file")
        os.replace(new, root / "link")  # noqa: PTH105
        # A file, and a link in its place.
        new.symlink_to(outside / "file")
        os.replace(new, root / "file")  # noqa: PTH105
        new.write_bytes(b"allowed")
        os.replace(new, root / "file")  # noqa: PTH105


def _renamed(path: Path, new: Path) -> bool:
    try:
        path.rename(new)
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main(Path(sys.argv[1]))
