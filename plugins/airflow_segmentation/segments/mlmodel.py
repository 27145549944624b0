"""A saved model as MLflow loads it: what stands beside the file, in one folder."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from typing import Any

from airflow_segmentation.segments.model import Model

_EXAMPLE = "input_example.json"


def mlmodel_files(model: Model, file: str) -> dict[str, bytes]:
    """Return what MLflow needs beside a saved model, by file name: how it is loaded, its columns, an example.

    The example is the least and the largest value of every feature: no row of anybody's.

    :param file: the name of the model's own file.
    """
    is_skops = file.endswith(".skops")
    python, requirements = platform.python_version(), ["scikit-learn", *(["skops"] if is_skops else [])]
    columns = [{"type": "double", "name": name, "required": True} for name in model.features]
    segments = [{"type": "tensor", "tensor-spec": {"dtype": "int32", "shape": [-1]}}]
    rows = {
        "columns": list(model.features),
        "data": [list(row) for row in (model.minimum.tolist(), model.maximum.tolist())],
    }
    files: dict[str, Any] = {
        "MLmodel": {
            "flavors": {
                "python_function": {
                    "env": {"virtualenv": "python_env.yaml"},
                    "loader_module": "mlflow.sklearn",
                    "model_path": file,
                    "predict_fn": "predict",
                    "python_version": python,
                },
                "sklearn": {
                    "code": None,
                    "pickled_model": file,
                    "serialization_format": "skops" if is_skops else "pickle",
                    "sklearn_version": version("scikit-learn"),
                },
            },
            "signature": {"inputs": json.dumps(columns), "outputs": json.dumps(segments), "params": None},
            "saved_input_example_info": {
                "artifact_path": _EXAMPLE,
                "pandas_orient": "split",
                "type": "dataframe",
            },
        },
        "python_env.yaml": {"python": python, "dependencies": ["-r requirements.txt"]},
        _EXAMPLE: rows,
    }
    # JSON is YAML, too, and says what is text.
    written = {name: json.dumps(content, indent=2).encode() for name, content in files.items()}
    pins = "".join(f"{name}=={version(name)}\n" for name in requirements)
    return {**written, "requirements.txt": pins.encode()}
