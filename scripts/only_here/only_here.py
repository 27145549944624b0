"""An Airflow that needs no login answers to this machine's own names only.

A page of another site may give its name the address 127.0.0.1 after it was loaded (DNS rebinding). A browser
then takes the API server for a part of that site, and lets its scripts do there what they like. Each request
says in its Host header under which name it comes.

An entry point on the path of `local_airflow.py`'s Airflow registers this: its plugins folder is another's.
"""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin
from starlette.middleware.trustedhost import TrustedHostMiddleware


class OnlyHerePlugin(AirflowPlugin):
    """Refuses requests to any other host, on whatever port, before anything else looks at them."""

    name = "only_here"
    fastapi_root_middlewares = [
        {
            "name": "only_here",
            "middleware": TrustedHostMiddleware,
            "args": [],
            "kwargs": {"allowed_hosts": ["127.0.0.1", "localhost"]},
        }
    ]
