"""Where the lines of a CSV end that has quotes: a line break between quotes ends none.

A quote opens at the beginning of a field and nowhere else, and what follows a closing quote is text again, as
pandas and pyarrow read it. So a stray quote that opens a field swallows lines up to the next quote, and who
reads the file has to be told.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

QUOTE = ord('"')
LINE_BREAKS = tuple(b"\r\n")


class Quotes:
    """Follows the quotes of a file that is taken line by line, a block of bytes at a time.

    :param sep: the byte between two fields.
    :param skip_spaces: whether spaces between a separator and a quote are nothing.
    """

    def __init__(self, sep: bytes = b",", skip_spaces: bool = False) -> None:
        self._sep = sep[0]
        self._skip_spaces = skip_spaces
        self._line_break = b"\n"
        self._taken = 0
        self.broken = 0
        """Line breaks between quotes so far."""
        self.first_broken: int | None = None
        """Place in the file, in bytes, of the quote that opens the first value with a line break."""
        self.open: int | None = None
        """Place of the quote that did not end within the last block."""

    def take(self, block: bytearray, end: int) -> int:
        """Return where the last whole line in `block[:end]` ends, and take the block as far as there.

        What is left is to stand at the beginning of the next block.
        """
        if not self._taken and block.find(b"\n", 0, end) < 0 <= block.find(b"\r", 0, end):
            self._line_break = b"\r"
        self.open = None
        if block.find(b'"', 0, end) < 0:
            cut = block.rfind(self._line_break, 0, end) + 1
        else:
            cut = self._after_quotes(block, end)
        self._taken += cut
        return cut

    def _after_quotes(self, block: bytearray, end: int) -> int:
        import numpy as np

        text = np.frombuffer(block, np.uint8, end)
        opens, closes = self._pairs(text)
        breaks = np.flatnonzero(text == self._line_break[0])
        within = np.searchsorted(opens, breaks) - 1
        inside = (within >= 0) & (breaks < closes[within]) if len(opens) else np.zeros(len(breaks), bool)
        cut = int(breaks[~inside][-1]) + 1 if not inside.all() else 0
        broken = within[inside & (breaks < cut)]
        if len(broken):
            self.broken += len(broken)
            if self.first_broken is None:
                self.first_broken = self._taken + int(opens[broken[0]])
        if len(opens) and closes[-1] >= end:
            self.open = self._taken + int(opens[-1])
        return cut

    def _pairs(self, text: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return where quotes open and close; one that does not is taken to close at the end."""
        import numpy as np

        quotes = np.flatnonzero(text == QUOTE)
        before = quotes - 1
        while self._skip_spaces and (blank := (before >= 0) & (text[before] == ord(" "))).any():
            before = before - blank
        edges = np.zeros(256, bool)
        edges[[self._sep, *LINE_BREAKS]] = True
        begins = edges[text[before]]  # where that is the last byte, it is put right below
        ends = edges[text[np.minimum(quotes + 1, len(text) - 1)]]
        beside = text[np.minimum(quotes + 1, len(text) - 1)] == QUOTE  # two quotes within quotes are one
        if len(quotes):
            begins[before < 0] = True
            ends[-1] |= quotes[-1] == len(text) - 1
            beside[-1] = False
        after = np.append(False, beside[:-1])
        if (begins | after)[0::2].all() and (ends | beside)[1::2].all():
            opens, closes = quotes[0::2][~after[0::2]], quotes[1::2][~beside[1::2]]
        else:
            pairs = np.array(list(_matched(quotes, begins, beside, len(text))))
            opens, closes = pairs.reshape(-1, 2).T
        return opens, np.append(closes, len(text)) if len(closes) < len(opens) else closes


def _matched(
    quotes: np.ndarray, begins: np.ndarray, beside: np.ndarray, end: int
) -> Iterator[tuple[int, int]]:
    """Yield where each quoted value begins and ends, one by one, as other quotes are text."""
    places, openers, doubled = quotes.tolist(), begins.tolist(), beside.tolist()
    index = 0
    while index < len(places):
        if not openers[index]:
            index += 1
            continue
        close = index + 1
        while close < len(places) and doubled[close]:
            close += 2
        yield places[index], places[close] if close < len(places) else end
        index = close + 1
