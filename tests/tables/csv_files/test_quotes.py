from __future__ import annotations

import pytest
from airflow_segmentation.tables.csv_files.quotes import Quotes
from hypothesis import example, given, settings
from hypothesis import strategies as st


def by_the_rules(text: str, skip_spaces: bool) -> tuple[int, int, int | None, int | None]:
    """Return what Quotes should find: the end of the last whole line, broken lines, the first, what is open.

    Byte by byte, as the parser of pandas goes.
    """
    state, opened, broken, lines = "begin", 0, [], 0
    for place, byte in enumerate(text):
        if state == "quoted":
            if byte == '"':
                state = "closed"
            elif byte == "\n":
                broken.append((place, opened))
        elif state == "closed" and byte == '"':
            state = "quoted"
        elif byte == "\n":
            state, lines = "begin", place + 1
        elif byte in ",\r":
            state = "begin"
        elif byte == '"' and state == "begin":
            state, opened = "quoted", place
        elif not (byte == " " and state == "begin" and skip_spaces):
            state = "text"
    taken = [start for place, start in broken if place < lines]
    return lines, len(taken), taken[0] if taken else None, opened if state == "quoted" else None


@settings(max_examples=500)
@given(st.text(alphabet='",\n\ra ', max_size=30), st.booleans())
@example('"a""b",c\n', False)
@example('""x"\n', False)
@example('a"b,"c\nd"\n', False)
def test_finds_whole_lines_broken_ones_and_quotes_that_do_not_end(text, skip_spaces):
    if "\n" not in text:
        text += "\n"
    quotes = Quotes(b",", skip_spaces)
    block = bytearray(text.encode())
    lines = quotes.take(block, len(block))
    assert (lines, quotes.broken, quotes.first_broken, quotes.open) == by_the_rules(text, skip_spaces)


@settings(max_examples=300)
@given(st.text(alphabet='",\na', max_size=40), st.integers(1, 40))
def test_finds_the_same_in_pieces_as_at_once(text, size):
    content = text.encode() + b"\n"
    whole, pieces = Quotes(), Quotes()
    rest, taken = bytearray(), 0
    for start in range(0, len(content), size):
        rest += content[start : start + size]
        lines = pieces.take(rest, len(rest))
        del rest[:lines]
        taken += lines
    assert taken == whole.take(bytearray(content), len(content))
    assert (pieces.broken, pieces.first_broken, pieces.open) == (whole.broken, whole.first_broken, whole.open)


@pytest.mark.parametrize("text", [b"a,b\rc,d\r", b'"a",b\rc,d\r'])
def test_lines_may_end_with_a_carriage_return_alone(text):
    assert Quotes().take(bytearray(text + b"e"), len(text) + 1) == len(text)
