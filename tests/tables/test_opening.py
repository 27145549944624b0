from __future__ import annotations

import pandas as pd
from airflow_segmentation.tables.opening import open_data


def test_open_data_reads_parquet_and_csv_alike(tmp_path):
    frame = pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    for name in ("t.csv", "t.parquet"):
        with open_data(str(tmp_path / name)) as table:
            pd.testing.assert_frame_equal(table.read().to_pandas(), frame)
            assert table.uri.endswith(name)
