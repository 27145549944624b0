"""Where Spark's own page shows a session. Spark tells the port that was set, and not the one that it took."""

from __future__ import annotations

from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from pyspark.sql.connect.conf import RuntimeConf

PORTS = 17
"""How many Spark tries, one after the other, unless its `spark.port.maxRetries` is another."""
REACHED = 2.0
"""Seconds in which a host that this worker sees is reached."""
PATIENCE = 15.0
"""Seconds that a page may take to answer: to the first question Spark takes several on a busy host."""


def page_of(conf: RuntimeConf, session_id: str) -> str | None:
    """Return the address of a session's page, as far as the cluster tells and this worker sees it."""
    host, port = conf.get("spark.driver.host", None), conf.get("spark.ui.port", "4040")
    if not host or not port or port == "0" or conf.get("spark.ui.enabled", "true") != "true":
        return None
    taken = port_of(host, int(port), str(conf.get("spark.app.id", "")))
    return f"http://{host}:{taken}/connect/session/?id={session_id}"


def port_of(host: str, port: int, app_id: str) -> int:
    """Return the port of an application's page: where another has the one that was set, one of the next.

    The one that was set, if this worker does not find it there.
    """
    for taken in range(port, min(port + PORTS, 1 << 16)):
        with closing(HTTPConnection(host, taken, timeout=REACHED)) as connection:
            try:
                connection.connect()
                connection.sock.settimeout(PATIENCE)
                connection.request("GET", f"/api/v1/applications/{quote(app_id, safe='')}")
                if connection.getresponse().status == HTTPStatus.OK:
                    return taken
            except (ConnectionRefusedError, HTTPException):
                continue
            except OSError:
                break
    return port
