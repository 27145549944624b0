from __future__ import annotations

import pytest
from airflow_segmentation.storage.addresses import without_secrets
from hypothesis import given, settings
from hypothesis import strategies as st
from processor_time import within


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("/data/file.csv", "/data/file.csv"),
        ("s3://aws@bucket/key", "s3://aws@bucket/key"),
        ("ftp://me:secret@host/key", "ftp://me@host/key"),
        ("s3://key:se/cr@et@bucket/key", "s3://key@bucket/key"),
        ("simplecache::ftp://me:secret@host/key", "simplecache::ftp://me@host/key"),
        ("ftp://host:21/key", "ftp://host:21/key"),
        ("hdfs://[::1]:8020/key", "hdfs://[::1]:8020/key"),
        ("s3://aws@bucket/a:b@c;d#e", "s3://aws@bucket/a:b@c;d#e"),
        (
            "abfs://container@account.dfs.core.windows.net/key",
            "abfs://container@account.dfs.core.windows.net/key",
        ),
        ("https://host/key?sig=secret", "https://host/key"),
        ("/data/what?.csv", "/data/what?.csv"),
        ("/data/a::b;c=d.csv", "/data/a::b;c=d.csv"),
        ("/data/a\nb", "/data/a\ufffdb"),
    ],
)
def test_no_secret_of_a_uri_is_shown(uri, shown):
    assert without_secrets(uri) == shown


@pytest.mark.parametrize("piece", ["://?", "@", ":", "%25", "?sig", "::", "a:", "/", ";=", "&#", "25"])
@given(
    prefix=st.sampled_from(["s3://b/", "s3://b/%", "ftp://a:", "https://", "", "x::"]),
    repeated=st.integers(0, 4096),
)
@settings(max_examples=10)
def test_the_longest_address_is_looked_through_at_once(piece, prefix, repeated):
    uri = (prefix + piece * repeated)[:4096]
    with within(2):
        assert len(without_secrets(uri)) <= len(uri)
