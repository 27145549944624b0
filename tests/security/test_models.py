"""Files that are no model but were made to harm whoever loads one."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from airflow_segmentation.errors import InputError
from airflow_segmentation.segments.model import load_model
from made.pickles import HOSTILE

HERE = Path(__file__).parent
MODELS = HERE.parent / "made" / "models"
SKOPS = next(MODELS.glob("*medians*.skops"))
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory) -> dict[str, list[str]]:
    """What came of each hostile pickle, and the memory that it took, from a process of its own."""
    folder = tmp_path_factory.mktemp("hostile")
    for name, content in HOSTILE.items():
        (folder / f"{name}.sav").write_bytes(content)
    command = [sys.executable, str(HERE / "load_models.py"), str(folder)]
    told = subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=False).stdout
    return {line.split("\t")[0]: line.split("\t")[1:] for line in told.splitlines() if "\t" in line}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_pickle_that_numpy_would_break_memory_with_is_refused(outcomes, name):
    assert outcomes[name][0] == "refused"
    assert "is not a model that ElbowOperator saved (it has" in outcomes[name][1]


def test_to_refuse_them_takes_little_memory(outcomes):
    assert int(outcomes["peak"][0]) < 600_000


def test_a_changed_model_is_refused_or_still_a_model():
    command = [sys.executable, str(HERE / "fuzz_models.py"), "400"]
    done = subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0
    told = dict(part.split(": ") for part in done.stdout.splitlines()[-1].split(", "))
    assert int(told["refused"]) + int(told["still a model"]) == 400
    assert int(told["still a model"]) > 5, "what is changed comes far enough"
    print(done.stdout)


def schema_and_arrays() -> tuple[dict, dict[str, bytes]]:
    with zipfile.ZipFile(SKOPS) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return json.loads(files.pop("schema.json")), files


def zipped(schema: dict | bytes, files: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        archive.writestr("schema.json", schema if isinstance(schema, bytes) else json.dumps(schema))
        for name, file in files.items():
            archive.writestr(name, file)
    return content.getvalue()


def of_zeros() -> bytes:
    """A compressed file whose arrays are 2 GB of zeros."""
    schema, files = schema_and_arrays()
    return zipped(schema, {name: bytes(200 << 20) for name in files}, zipfile.ZIP_DEFLATED)


def overlapping() -> bytes:
    """A file that tells of each of its arrays that it is as large as all."""
    schema, files = schema_and_arrays()
    content = bytearray(zipped(schema, {name: bytes(2 << 20) for name in files}))
    begin = 0
    while (begin := content.find(b"PK\1\2", begin + 1)) > 0:
        content[begin + 20 : begin + 28] = (20 << 20).to_bytes(4, "little") * 2
    return bytes(content)


def many_files() -> bytes:
    schema, files = schema_and_arrays()
    return zipped(schema, {**files, **{str(number): b"" for number in range(2000)}})


def with_array(content: bytes) -> bytes:
    schema, files = schema_and_arrays()
    return zipped(schema, dict.fromkeys(files, content))


def array_told(header: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(16)


def generator() -> bytes:
    """A file that names a function of numpy as a bit generator, as skops before 0.15 would call it."""
    schema, files = schema_and_arrays()
    steps = schema["content"]["content"]["steps"]["content"]
    kmeans = steps[-1]["content"][1]["content"]["content"]
    json_node = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode"}
    state = {"content": {"bit_generator": {**json_node, "content": '"seed"'}}, "key_types": {}}
    kmeans["random_state"] = {
        **{"__class__": "Generator", "__module__": "numpy.random._generator"},
        **{"__loader__": "RandomGeneratorNode", "content": {"bit_generator": state, "seed_seq": {}}},
    }
    return zipped(schema, files)


SKOPS_FILES = {
    "compressed": (of_zeros, "it is compressed, which no saved model is"),
    "overlapping": (overlapping, "it unpacks to more than 64 MB"),
    "many files": (many_files, "it holds more than 1000 files"),
    "schema too long": (lambda: zipped(b"[" * (17 << 20), {}), "its schema has more than 16 MB"),
    "nested": (lambda: zipped(b"[" * 200_000, {}), "it is damaged, or another kind of file"),
    "generator": (generator, "it asks for numpy.random._generator.Generator"),
    "structured": (
        lambda: with_array(array_told("{'descr': [('a', 'O')], 'fortran_order': False, 'shape': (2,)}")),
        "it has list where str should be",
    ),
    "objects": (
        lambda: with_array(array_told("{'descr': '|O', 'fortran_order': False, 'shape': (2,)}")),
        "it has something else where there should be numbers",
    ),
    "too few": (
        lambda: with_array(array_told("{'descr': '<f8', 'fortran_order': False, 'shape': (10**9,)}")),
        "it is damaged, or another kind of file",
    ),
    "far too few": (
        lambda: with_array(array_told("{'descr': '<f8', 'fortran_order': False, 'shape': (99999999,)}")),
        "it has an array whose bytes are not as many as its shape says",
    ),
}


@pytest.mark.parametrize(("make", "why"), SKOPS_FILES.values(), ids=SKOPS_FILES)
def test_a_skops_file_that_would_harm_is_refused(tmp_path, make, why):
    (tmp_path / "model.skops").write_bytes(make())
    with pytest.raises(InputError) as caught:
        load_model(str(tmp_path / "model.skops"))
    assert str(caught.value) == (
        f"{tmp_path}/model.skops is not a model that ElbowOperator saved ({why}); it was not used. Run the "
        "task that chooses k again"
    )


@pytest.mark.parametrize("suffix", ["sav", "skops"])
def test_a_file_is_read_no_further_than_a_model_is_long(tmp_path, suffix):
    path = tmp_path / f"model.{suffix}"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(InputError, match="it has more than 64 MB"):
        load_model(str(path))


@pytest.mark.parametrize("content", [b"SECRET=hunter2\0HOME=/root\n", b"I12SECRET\n.", b"cos\nSECRET\n."])
def test_the_message_shows_nothing_of_another_file(tmp_path, content):
    (tmp_path / "model.sav").write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_model(str(tmp_path / "model.sav"))
    assert "SECRET" not in str(caught.value)
