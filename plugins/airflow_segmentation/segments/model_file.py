"""Files of models, read into plain values: nothing that a file names is called, built or imported.

A pickle is a program. `pickle.Unpickler` runs it, and numpy's own objects, built of what a hostile one says,
read and write memory out of bounds. So the instructions are followed here, those that a saved model consists
of and no others, and where one would make an object there stands a :class:`Made`, which tells what the file
asked for. A `.skops` file names what is to be built in JSON, and is read the same way.

Both are bounded: their size is, unpacked too, and the number of their pieces; no key and no name is anything
but text, so that nothing walks down what a file nests.
"""

from __future__ import annotations

import ast
import io
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MOST_BYTES = 64 << 20
"""Of a model's file, unpacked too: 200 segments of 40,000 features are as large."""
MOST_PIECES = 500_000
"""Instructions of a pickle, of which a model has two for each feature and some 300 more."""
SCHEMA_BYTES = 16 << 20
"""Of the JSON in a `.skops` file, which takes some 400 for each feature."""
MOST_FILES = 1_000
"""Of a `.skops` file, which has one for each array, a dozen in all."""
LONGEST_HEADER = 1_000
"""Bytes of a `.skops` file's array before its content: 128, as numpy writes them."""

STEPS = frozenset(
    {
        "sklearn.pipeline.Pipeline",
        "sklearn.impute._base.SimpleImputer",
        "sklearn.preprocessing._data.MinMaxScaler",
        "sklearn.cluster._kmeans.KMeans",
    }
)
# numpy moved its internals in 2.0: a pickle written before names the older modules.
_RECONSTRUCT = {f"numpy.{core}.multiarray._reconstruct" for core in ("core", "_core")}
_FROM_BUFFER = {f"numpy.{core}.numeric._frombuffer" for core in ("core", "_core")}
_SCALAR = {f"numpy.{core}.multiarray.scalar" for core in ("core", "_core")}
_CALLED = _RECONSTRUCT | _FROM_BUFFER | _SCALAR | {"numpy.dtype", "numpy.ndarray"}

_NUMBERS = {f"{order}{kind}": int(kind[1]) for order in "<>=" for kind in ("f8", "i8", "i4")}
"""Bytes of a number, by order and type."""
_NAMES = {"|O", "|O8"}


class NotAModel(ValueError):
    """What a file holds that no saved model does, in words that show nothing else of it."""


@dataclass(frozen=True)
class Named:
    """A class or function that a file names."""

    name: str


@dataclass(eq=False)
class Made:
    """An object that a file asks for: of what, and with which state. Nothing makes it."""

    name: str
    arguments: tuple[Any, ...] = ()
    state: Any = None


@dataclass(frozen=True, eq=False)
class Array:
    """An array as a file tells of it, which it need not be."""

    kind: str
    shape: Any
    by_columns: bool
    content: Any


def attributes_of(value: Any, name: str) -> Mapping[str, Any]:
    """Return the attributes of an object of a class of scikit-learn.

    :raises NotAModel: if the value is none.
    """
    if not isinstance(value, Made) or value.name != name or not isinstance(value.state, dict):
        raise NotAModel(f"it has no {name} where there should be one")
    return value.state


def numbers_in(value: Any) -> np.ndarray:
    """Return an array of float64, int64 or int32, of bytes that are as many as its shape says.

    :raises NotAModel: if the value is none.
    """
    import numpy as np

    array = _array(value)
    if array.kind not in _NUMBERS or not isinstance(array.content, (bytes, bytearray, memoryview)):
        raise NotAModel("it has something else where there should be numbers")
    if not _is_shape(array.shape) or len(array.content) != _NUMBERS[array.kind] * math.prod(array.shape):
        raise NotAModel("it has an array whose bytes are not as many as its shape says")
    return np.frombuffer(array.content, array.kind).reshape(
        array.shape, order="F" if array.by_columns else "C"
    )


def names_in(value: Any) -> tuple[str, ...]:
    """Return the text of an array of names.

    :raises NotAModel: if the value is none.
    """
    array = _array(value)
    if array.kind not in _NAMES or not isinstance(array.content, list):
        raise NotAModel("it has something else where there should be names")
    if not _is_shape(array.shape) or array.shape != (len(array.content),):
        raise NotAModel("it has an array whose names are not as many as its shape says")
    return tuple(_of(str, name) for name in array.content)


def _array(value: Any) -> Array:
    match value:
        case Array():
            return value
        case Made(name, _, (int(), shape, dtype, by_columns, content)) if name in _RECONSTRUCT:
            return Array(_kind(dtype), shape, by_columns is True, content)
        case Made(name, (content, dtype, shape, order)) if name in _FROM_BUFFER:
            return Array(_kind(dtype), shape, order == "F", content)
    raise NotAModel("it has no array where there should be one")


def _kind(dtype: Any) -> str:
    """Return the order of bytes and the type that a pickled dtype tells, such as `<f8`."""
    match dtype:
        case Made("numpy.dtype", (str(kind), *_), (int(), str(order), *_)):
            return order + kind
    raise NotAModel("it has an array of an unknown type")


def _is_shape(shape: Any) -> bool:
    return (
        isinstance(shape, tuple)
        and len(shape) in (1, 2)
        and all(type(length) is int and 0 <= length <= MOST_BYTES for length in shape)
    )


def read_pickle(content: bytes) -> Any:
    """Return what a pickle holds, its objects as :class:`Made`.

    :raises NotAModel: if it holds an instruction, or asks for an object, that no saved model does.
    :raises Exception: of any kind, if it is damaged.
    """
    import pickletools

    stack: list[Any] = []
    marks: list[int] = []
    memo: list[Any] = []

    def since_mark() -> list[Any]:
        begin = marks.pop()
        items = stack[begin:]
        del stack[begin:]
        return items

    def popped(count: int) -> list[Any]:
        items = [stack.pop() for _ in range(count)]
        return items[::-1]

    def put(pairs: list[Any]) -> None:
        target = _of(dict, stack[-1])
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            target[_of(str, key)] = value

    for count, (instruction, argument, _) in enumerate(pickletools.genops(content)):
        if count == MOST_PIECES:
            raise NotAModel(f"it has more than {MOST_PIECES} pieces")
        match instruction.name:
            case "PROTO" | "FRAME":
                pass
            case "NONE":
                stack.append(None)
            case "NEWTRUE":
                stack.append(True)
            case "NEWFALSE":
                stack.append(False)
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINFLOAT":
                stack.append(argument)
            case "SHORT_BINUNICODE" | "BINUNICODE" | "BINUNICODE8":
                stack.append(argument)
            case "SHORT_BINBYTES" | "BINBYTES" | "BINBYTES8" | "BYTEARRAY8":
                stack.append(argument)
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3" as name:
                stack.append(tuple(popped(int(name[-1]))))
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "EMPTY_LIST":
                stack.append([])
            case "APPEND":
                item = stack.pop()
                _of(list, stack[-1]).append(item)
            case "APPENDS":
                items = since_mark()
                _of(list, stack[-1]).extend(items)
            case "EMPTY_DICT":
                stack.append({})
            case "SETITEM":
                put(popped(2))
            case "SETITEMS":
                put(since_mark())
            case "MARK":
                marks.append(len(stack))
            case "MEMOIZE":
                memo.append(stack[-1])
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[_of(int, argument)])
            case "STACK_GLOBAL":
                module, name = popped(2)
                stack.append(Named(_known(f"{_of(str, module)}.{_of(str, name)}", STEPS | _CALLED)))
            case "NEWOBJ":
                made, arguments = popped(2)
                stack.append(Made(_known(_of(Named, made).name, STEPS), _of(tuple, arguments)))
            case "REDUCE":
                made, arguments = popped(2)
                stack.append(Made(_known(_of(Named, made).name, _CALLED), _of(tuple, arguments)))
            case "BUILD":
                state = stack.pop()
                _of(Made, stack[-1]).state = state
            case "STOP":
                pass
            case other:
                raise NotAModel(f"it has the instruction {other}")
    return stack.pop()


def read_skops(content: bytes) -> Any:
    """Return what a `.skops` file holds, its objects as :class:`Made`.

    :raises NotAModel: if it asks for an object that no saved model does, or unpacks to more than it may.
    :raises Exception: of any kind, if it is damaged.
    """
    import zipfile

    if content.count(b"PK\1\2") > MOST_FILES:
        raise NotAModel(f"it holds more than {MOST_FILES} files")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = archive.infolist()
        if any(file.compress_type != zipfile.ZIP_STORED for file in files):
            raise NotAModel("it is compressed, which no saved model is")
        # What is not compressed may still overlap.
        if sum(file.file_size for file in files) > MOST_BYTES:
            raise NotAModel(f"it unpacks to more than {MOST_BYTES >> 20} MB")
        if archive.getinfo("schema.json").file_size > SCHEMA_BYTES:
            raise NotAModel(f"its schema has more than {SCHEMA_BYTES >> 20} MB")
        arrays = {file.filename: archive.read(file) for file in files if file.filename != "schema.json"}
        return _SkopsReader(arrays).value(json.loads(archive.read("schema.json")))


class _SkopsReader:
    """Reads nodes of a schema.

    :param files: the arrays beside it, as `numpy.save` writes them.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self._arrays: dict[str, Array] = {}

    def value(self, node: Any) -> Any:
        """Return what a node stands for."""
        name = f"{_of(str, node['__module__'])}.{_of(str, node['__class__'])}"
        match _of(str, node["__loader__"]), name:
            case "JsonNode", _:
                return json.loads(_of(str, node["content"]))
            case "ListNode", "builtins.list":
                return self._values(node["content"])
            case "TupleNode", "builtins.tuple":
                return tuple(self._values(node["content"]))
            case "DictNode", "builtins.dict":
                return {key: self.value(item) for key, item in _of(dict, node["content"]).items()}
            case "NdArrayNode", _ if node["type"] == "json":
                names = self._values(node["content"])
                return Array("|O", (len(names),), False, names)
            case "NdArrayNode", _:
                return self._array(_of(str, node["file"]))
            case "DTypeNode", "numpy.dtype":
                return Made(name)
            case "ObjectNode", _:
                return Made(_known(name, STEPS), (), self.value(node["content"]))
        raise NotAModel(f"it asks for {_short(name)}")

    def _values(self, nodes: Any) -> list[Any]:
        return [self.value(node) for node in _of(list, nodes)]

    def _array(self, file: str) -> Array:
        if file not in self._arrays:
            content = self._files[file]
            # Ten bytes, of which the last two tell how long a dict is that follows as Python writes it.
            begin = 10 + int.from_bytes(content[8:10], "little")
            if content[:8] != b"\x93NUMPY\x01\x00" or begin > LONGEST_HEADER:
                raise NotAModel("it has an array in an unknown format")
            told = _of(dict, ast.literal_eval(content[10:begin].decode("ascii").strip()))
            kind, by_columns = _of(str, told["descr"]), _of(bool, told["fortran_order"])
            self._arrays[file] = Array(kind, told["shape"], by_columns, memoryview(content)[begin:])
        return self._arrays[file]


def _of(kind: type, value: Any) -> Any:
    """Return the value, which must be of this very kind: nothing else may be hashed, compared or changed."""
    if type(value) is not kind:
        raise NotAModel(f"it has {type(value).__name__} where {kind.__name__} should be")
    return value


def _known(name: str, known: Collection[str]) -> str:
    if name not in known:
        raise NotAModel(f"it asks for {_short(name)}")
    return name


def _short(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name[:100])
