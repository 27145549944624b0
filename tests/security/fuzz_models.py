"""Change saved models at random, and load what comes of it: `python tests/security/fuzz_models.py 10000`.

Each file must be refused with InputError or give a model that assigns segments. It prints how many did what.
"""

from __future__ import annotations

import os
import pickletools
import random
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "tests" / "made" / "models"


def instructions(content: bytes) -> list[bytes]:
    """Return a pickle's instructions, each with its argument."""
    begins = [position for _, _, position in pickletools.genops(content)]
    return [content[begin:end] for begin, end in zip(begins, [*begins[1:], len(content)], strict=True)]


def changed_instructions(content: bytes, rng: random.Random) -> bytes:
    """Return the pickle with some of its instructions left out, repeated, moved or replaced."""
    parts = instructions(content)
    for _ in range(rng.randint(1, 3)):
        here, there = rng.randrange(len(parts)), rng.randrange(len(parts))
        match rng.randrange(4):
            case 0:
                del parts[here]
            case 1:
                parts.insert(here, parts[there])
            case 2:
                parts[here], parts[there] = parts[there], parts[here]
            case 3:
                parts[here] = rng.choice(pickletools.opcodes).code.encode("latin-1") + parts[here][1:]
    return b"".join(parts)


def changed_bytes(content: bytes, rng: random.Random) -> bytes:
    """Return the file with some of its bytes changed, left out, or put in."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        place = rng.randrange(len(data))
        match rng.randrange(4):
            case 0:
                data[place] = rng.randrange(256)
            case 1:
                data[place] ^= 1 << rng.randrange(8)
            case 2:
                del data[place : place + rng.randint(1, 8)]
            case 3:
                data[place:place] = rng.choice([b"\xff\xff\xff\xff", b"\0" * 8, rng.randbytes(4)])
    return bytes(data)


def main(count: int) -> None:
    """Load so many changed models.

    :raises Exception: of another kind than InputError, if one leads to it.
    """
    import numpy as np
    from airflow_segmentation.errors import InputError
    from airflow_segmentation.segments.model import load_model

    saved = sorted(MODELS.iterdir())
    rng = random.Random(0)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(count):
            original = saved[number % len(saved)]
            content = original.read_bytes()
            change = changed_bytes
            if original.suffix == ".sav" and rng.random() < 0.5:
                change = changed_instructions
            path = Path(folder, f"model{original.suffix}")
            path.write_bytes(change(content, rng))
            try:
                model = load_model(str(path))
            except InputError:
                outcomes["refused"] += 1
                continue
            segments = model.assigner.predict(np.zeros((3, len(model.features))))
            assert ((segments >= 0) & (segments < len(model.assigner.centers))).all()
            outcomes["still a model"] += 1
    print(f"models: {count}, refused: {outcomes['refused']}, still a model: {outcomes['still a model']}")


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "plugins"))
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__SEGMENTATION__ALLOWED_PATHS": "*"}
        main(int(sys.argv[1]))
