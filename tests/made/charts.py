"""The charts of a page, as they lie in its HTML."""

from __future__ import annotations

import json
import re
from typing import Any


def chart(page: str, name: str) -> Any:
    """Return a chart of a page, None where it has no such one."""
    figure = re.search(rf'<figure [^>]*id="{name}".*?</figure>', page, re.DOTALL)
    assert figure
    found = re.search(r'<script type="application/json">(.*?)</script>', figure[0], re.DOTALL)
    return found and json.loads(found[1])
