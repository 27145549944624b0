from __future__ import annotations

import ast

import pytest
from environment import Problem
from mutants import ROOMS, ROOT, Blind, rooms


def test_every_room_has_modules_and_tests_that_are_there():
    found = rooms([])

    assert list(found) == list(ROOMS)
    assert all(found.values())
    assert [
        test for room in ROOMS.values() for test in room.tests if not (ROOT / "tests" / test).exists()
    ] == []


def test_a_module_is_run_alone_in_its_room():
    found = rooms(["clustering/chain", "clustering/rows", "www/access"])

    assert {room: [path.name for path in paths] for room, paths in found.items()} == {
        "clustering": ["chain.py", "rows.py"],
        "access": ["access.py"],
    }


def test_a_room_that_is_none_is_an_error_that_lists_those_there_are():
    with pytest.raises(
        Problem, match=r"ONLY=hall should be a module, such as clustering/chain, or among clust"
    ):
        rooms(["hall"])


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("log.info('Read %d', rows)", "log.info('XXRead %dXX', rows)", True),
        ("self.log.info('Read %d', rows)", "self.log.info(None, rows)", True),
        ("zip(a, b, strict=True)", "zip(a, b, strict=False)", True),
        ("zip(a, b, strict=True)", "zip(a, None, strict=True)", False),
        ("return cast('int', a)", "return cast('INT', a)", True),
        ("return cast('int', a)", "return cast('int', None)", False),
        ("np.einsum('ij->i', a)", "np.einsum('IJ->I', a)", True),
        ("np.einsum('ij->i', a)", "np.einsum('XXij->iXX', a)", False),
        ("raise ValueError('a')", "raise ValueError('A')", False),
    ],
)
def test_mutants_are_told_apart_by_what_a_test_may_look_at(one, other, same):
    functions = [ast.parse(f"def {name}():\n    {line}").body[0] for name, line in (("f", one), ("g", other))]

    assert (Blind().seen(functions[0]) == Blind().seen(functions[1])) is same
