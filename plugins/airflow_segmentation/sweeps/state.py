"""What an interrupted sweep leaves beside its output, so that its retry goes on from the last finished k."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from airflow_segmentation.errors import InputError
from airflow_segmentation.storage.files import fingerprint, open_for_reading, remove, written_whole

if TYPE_CHECKING:
    import numpy as np


class SweepState:
    """The state of one sweep at a URI; what a sweep of other data or parameters left is not taken for it."""

    def __init__(self, uri: str, data_uri: str, conn_id: str | None, parameters: Mapping[str, Any]) -> None:
        self.uri = uri
        self._sweep = json.dumps([fingerprint(data_uri, conn_id), dict(parameters)], sort_keys=True)

    def load(self) -> dict[str, np.ndarray] | None:
        """Return the arrays last saved by this very sweep, or None."""
        import numpy as np

        with contextlib.suppress(InputError, ValueError, OSError, EOFError, KeyError, BadZipFile):
            with open_for_reading(self.uri) as file, np.load(file, allow_pickle=False) as saved:
                arrays = dict(saved)
            if str(arrays.pop("sweep")) == self._sweep:
                return arrays
        return None

    def save(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Replace what was saved before."""
        import numpy as np

        with written_whole(self.uri) as file:
            values: dict[str, Any] = {"sweep": np.array(self._sweep), **arrays}
            np.savez(file, **values)

    def discard(self) -> None:
        """Forget the state, if there is one: the sweep is complete."""
        remove(self.uri)
