"""Load every file of a folder as a model, and tell of each what came of it: harm ends no other process."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from airflow_segmentation.errors import InputError
from airflow_segmentation.segments.model import load_model


def main(folder: Path) -> None:
    for path in sorted(folder.iterdir()):
        print(path.stem, end="\t", flush=True)
        try:
            load_model(str(path))
        except InputError as error:
            print("refused", error, sep="\t", flush=True)
        else:
            print("loaded", flush=True)
    print("peak", peak(), sep="\t")


def peak() -> int:
    """Return the most memory that this process had, in kB, since it is this program."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10  # macOS, which counts in bytes
    return int(status.read_text().partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
