"""Who is looking, and at which Dags they may look.

Airflow authenticates nobody on the way to a Flask plugin, and Flask-AppBuilder's own decorators know only
some auth managers. So the token that the Airflow UI runs on is resolved here, through whichever auth manager
is configured.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

import anyio.from_thread
from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
from airflow.configuration import conf
from airflow.models import DagModel
from airflow.utils.session import create_session
from jwt import ExpiredSignatureError, InvalidTokenError

if TYPE_CHECKING:
    from flask import Request
    from sqlalchemy.orm import Session


class NotLoggedIn(Exception):
    """There is no token, or it has expired: the cure is to log in."""


class Forbidden(Exception):
    """The user may not do this."""


class BadToken(Forbidden):
    """The token is not one of this Airflow, or no longer: the cure is to log in."""


@dataclass(frozen=True)
class Viewer:
    """The user behind a request, whatever the auth manager calls one."""

    user: Any

    def may_read(self, dag_id: str, entity: DagAccessEntity | None = DagAccessEntity.XCOM) -> bool:
        """Return whether this user may read the reports of a Dag, which are XComs, or else another entity.

        :param entity: None for the Dag itself.
        """
        return get_auth_manager().is_authorized_dag(
            method="GET",
            access_entity=entity,
            details=_details(dag_id),
            user=self.user,
        )

    def may_answer(self, dag_id: str, assigned: Collection[str]) -> bool:
        """Return whether Airflow's API would take this user's answer to a review.

        :param assigned: the ids of who alone may; none where everybody may who has the right.
        """
        manager = get_auth_manager()
        return manager.is_authorized_dag(
            method="PUT",
            access_entity=DagAccessEntity.HITL_DETAIL,
            details=_details(dag_id),
            user=self.user,
        ) and (not assigned or manager.is_authorized_hitl_task(assigned_users=set(assigned), user=self.user))

    def readable_dag_ids(self, session: Session) -> set[str]:
        """Return the ids of all Dags whose reports this user may read."""
        manager = get_auth_manager()
        if not manager.is_authorized_dag(method="GET", access_entity=DagAccessEntity.XCOM, user=self.user):
            return set()
        return manager.get_authorized_dag_ids(user=self.user, method="GET", session=session)


def _details(dag_id: str) -> DagDetails:
    if not conf.getboolean("core", "multi_team", fallback=False):
        return DagDetails(id=dag_id)
    with create_session(scoped=False) as session:
        return DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id, session=session))


def authenticate(request: Request) -> Viewer:
    """Return who sent a request.

    :raises NotLoggedIn: without a token, or with one that has expired.
    :raises BadToken: with a token that is none of this Airflow's, or of a user no longer active.
    """
    token = _token(request)
    if not token:
        raise NotLoggedIn
    try:
        # Flask runs in a thread of the API server, whose event loop the auth manager's clients belong to.
        user = anyio.from_thread.run(get_auth_manager().get_user_from_token, token)
    except ExpiredSignatureError:
        raise NotLoggedIn from None
    except InvalidTokenError:
        raise BadToken from None
    # FAB's provider of Airflow 3.1's and 3.2's days lets dismissed users in for as long as their token lasts.
    if not getattr(user, "is_active", True):
        raise BadToken
    return Viewer(user)


def _token(request: Request) -> str | None:
    """Return the token of a request; as in Airflow's own API, the header wins over the cookie."""
    # Where nobody logs in, Airflow adds a header to that of the request; the first counts, as in its API.
    header = request.headers.get("Authorization", "").partition(",")[0]
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    return request.cookies.get(COOKIE_NAME_JWT_TOKEN)


def login_url(next_url: str) -> str:
    """Return where to log in, and come back from."""
    url = get_auth_manager().get_url_login(next_url=next_url)
    if "next" in parse_qs(urlsplit(url).query):
        return url
    # The simple auth manager of Airflow 3.1 and 3.2 leaves that to its callers.
    return f"{url}{'&' if '?' in url else '?'}{urlencode({'next': next_url})}"
