"""How long something may take, however busy the machine is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Fail where something takes this process longer on its processors."""
    start = time.process_time()
    yield
    assert time.process_time() - start < seconds
