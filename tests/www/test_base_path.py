"""The page below a base path, as behind a proxy that serves several Airflows."""

from __future__ import annotations

import json
import os
import subprocess
import sys

SCRIPT = """
import json
from airflow.api_fastapi.app import create_app, get_auth_manager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
from starlette.testclient import TestClient

with TestClient(create_app(apps="core"), base_url="https://example.com") as client:
    nobody = client.get("/team/pluginsv2/segmentation/run?dag_id=open&run_id=manual__0",
                        headers={"Sec-Fetch-Dest": "document"}, follow_redirects=False)
    admin = SimpleAuthManagerUser(username="admin", role="ADMIN")
    client.cookies.set("_token", get_auth_manager().generate_jwt(admin))
    paths = ["", "run?dag_id=open&run_id=manual__0", "run?dag_id=open&run_id=running", "dag?dag_id=open"]
    pages = [client.get("/team/pluginsv2/segmentation/" + path) for path in paths]
    for file in ("sweep.csv", "report.json", "charts.html"):
        client.get(f"/team/pluginsv2/segmentation/run/{file}?dag_id=open&run_id=manual__0").raise_for_status()
    print(json.dumps([[[page.status_code, page.text] for page in pages], nobody.headers["Location"]]))
"""


def test_every_address_on_a_page_lies_below_the_base_path(filled: None) -> None:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | {"AIRFLOW__API__BASE_URL": "https://example.com/team/"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    pages, login = json.loads(result.stdout.splitlines()[-1])

    for status, page in pages:
        assert status == 200
        addresses = [
            part.split('"')[0] for mark in (' href="', ' src="', ' action="') for part in page.split(mark)[1:]
        ]
        assert len(addresses) > 5
        assert [address for address in addresses if not address.startswith(("/team/", "data:,"))] == []
    assert login.startswith("/team/auth/login")
    assert "next=%2Fteam%2Fpluginsv2%2Fsegmentation%2Frun" in login
