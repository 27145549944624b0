from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
HEAVY = ["flask", "flask_appbuilder", "kneed", "numpy", "pandas", "plotly", "pyarrow", "scipy", "skops"]
HEAVY += ["sklearn"]


def test_parsing_a_dag_with_all_operators_imports_nothing_heavy():
    code = f"""
import sys
sys.path.insert(0, {str(PLUGINS)!r})
from airflow.sdk import DAG
before = set(sys.modules)
import airflow_segmentation.operators
print(sorted(set({HEAVY}) & (set(sys.modules) - before)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"
