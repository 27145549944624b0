"""An MLflow server by its REST API, which is the same for all its versions, through a connection of Airflow.

Not by MLflow's own client: that asks for older versions of libraries than those that Airflow has.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException

from airflow_segmentation.errors import InputError, in_short
from airflow_segmentation.storage.addresses import parted

if TYPE_CHECKING:
    from requests import Response

API = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts/"
TIMEOUT = 60.0
"""Seconds that an answer may take, unless the connection says otherwise."""
MOST_ITEMS = 900
"""Metrics that are sent at once: MLflow takes a thousand, with params and tags."""

_NO_SUCH, _IS_THERE = "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"


@dataclass(frozen=True)
class Metric:
    """One value of a metric, at a step."""

    key: str
    value: float
    step: int = 0


@dataclass(frozen=True)
class MlflowRun:
    """A run of MLflow that is being logged to."""

    run_id: str
    experiment_id: str
    artifact_uri: str
    page: str
    """Its page in MLflow."""


class MlflowServer:
    """What MLflow's REST API can do, as far as segments need it. Whatever is done twice is there once.

    :param conn_id: a connection of the type HTTP: the server's address as host, and a login with a password,
        or a token as the password alone.

    :raises InputError: if there is no such connection, or Airflow's provider for HTTP is not installed.
    """

    def __init__(self, conn_id: str) -> None:
        try:
            from airflow.providers.http.hooks.http import HttpHook
        except ImportError:
            raise InputError(
                "MLflow is logged to with what is not installed here; install airflow-segmentation[mlflow]"
            ) from None
        self._where = f"MLflow server of the connection {conn_id!r}"
        hook = HttpHook(http_conn_id=conn_id)
        try:
            connection = hook.get_connection(conn_id)
        except AirflowNotFoundException:
            raise InputError(
                f"There is no connection {conn_id!r}; add it in Admin > Connections, with the type HTTP and "
                "the address of the MLflow server as its host, or name another as mlflow_conn_id"
            ) from None
        host = connection.host or ""
        if not host or parted(host if "://" in host else f"http://{host}")[1]:
            raise InputError(
                f"The connection {conn_id!r} should have the address of the MLflow server as its host, such "
                "as https://mlflow.example.org, and login and password, or a token, in their own fields"
            )
        self._timeout = connection.extra_dejson.get("timeout", TIMEOUT)
        self._secrets = [connection.password] if connection.password else []
        with self._told():
            self._session = hook.get_conn()
            self._url = hook.base_url.rstrip("/")
        if connection.password and not connection.login:
            self._session.auth = _Bearer(connection.password)

    # What it knows

    def experiment(self, name: str) -> str:
        """Return the id of an experiment, which is made where there is none of that name."""
        for _ in range(2):
            found = self._get("experiments/get-by-name", {"experiment_name": name}, unless=_NO_SUCH)
            if found is None:
                made = self._post("experiments/create", {"name": name}, unless=_IS_THERE)
                if made is not None:
                    return made["experiment_id"]
            elif found["experiment"].get("lifecycle_stage") == "deleted":
                raise InputError(f"The experiment {name!r} was deleted; restore it, or name another")
            else:
                return found["experiment"]["experiment_id"]
        raise AirflowException(f"The experiment {name!r} was made and deleted at once; try again")

    @contextlib.contextmanager
    def run(
        self, experiment_id: str, name: str, tags: Mapping[str, str], same: Sequence[str]
    ) -> Iterator[MlflowRun]:
        """Open a run, or one of before, and close it at the end as finished or failed.

        :param same: the tags by which one of before is known, whose values are plain.
        """
        query = " and ".join(f"tags.`{key}` = '{tags[key]}'" for key in same)
        found = self._post(
            "runs/search",
            {
                "experiment_ids": [experiment_id],
                "filter": query,
                "max_results": 1,
                "order_by": ["start_time"],
            },
        )
        if found.get("runs"):
            info = found["runs"][0]["info"]
            self._post("runs/update", {"run_id": info["run_id"], "status": "RUNNING"})
        else:
            asked = {"experiment_id": experiment_id, "run_name": name, "start_time": _now()}
            info = self._post("runs/create", {**asked, "tags": _pairs(tags)})["run"]["info"]
        page = f"{self._url}/#/experiments/{experiment_id}/runs/{info['run_id']}"
        run = MlflowRun(info["run_id"], experiment_id, info["artifact_uri"], page)
        try:
            yield run
        except Exception:
            with contextlib.suppress(AirflowException):  # what went wrong counts
                self._end(run, "FAILED")
            raise
        self._end(run, "FINISHED")

    def _end(self, run: MlflowRun, status: str) -> None:
        self._post("runs/update", {"run_id": run.run_id, "status": status, "end_time": _now()})

    def log(
        self,
        run: MlflowRun,
        params: Mapping[str, str],
        tags: Mapping[str, str],
        metrics: Sequence[Metric],
        moment: int,
    ) -> None:
        """Log to a run.

        :param moment: when the metrics were found, in milliseconds: MLflow keeps the same value of the same
            moment and step once.
        """
        self._post("runs/log-batch", {"run_id": run.run_id, "params": _pairs(params), "tags": _pairs(tags)})
        values = [{**vars(metric), "timestamp": moment} for metric in metrics]
        for first in range(0, len(values), MOST_ITEMS):
            chunk = values[first : first + MOST_ITEMS]
            self._post("runs/log-batch", {"run_id": run.run_id, "metrics": chunk})

    def upload(self, run: MlflowRun, files: Mapping[str, bytes]) -> None:
        """Put files among the artifacts of a run, by their paths; what was there is replaced.

        :raises InputError: if the server leaves it to its clients to write artifacts.
        """
        where = urlsplit(run.artifact_uri)
        if where.scheme != "mlflow-artifacts":
            raise InputError(
                f"The artifacts of run {run.run_id} lie at {where.scheme or 'a folder'}, where clients of "
                "MLflow are to write themselves; let the server do so (mlflow server --serve-artifacts), and "
                "log to an experiment that is made after that"
            )
        for path, content in files.items():
            self._asked("PUT", f"{ARTIFACTS}{quote(where.path.strip('/'))}/{quote(path)}", data=content)

    def register(self, run: MlflowRun, name: str, folder: str, tags: Mapping[str, str]) -> str:
        """Return the version under which a folder among a run's artifacts is registered as a model."""
        self._post("registered-models/create", {"name": name}, unless=_IS_THERE)
        found = self._get("model-versions/search", {"filter": f"run_id = '{run.run_id}'"})
        for version in found.get("model_versions", []):
            if version["name"] == name:
                return version["version"]
        asked = {"name": name, "source": f"{run.artifact_uri}/{folder}", "run_id": run.run_id}
        made = self._post("model-versions/create", {**asked, "tags": _pairs(tags)})
        return made["model_version"]["version"]

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Have an alias lead to this version of a registered model, and to no other."""
        self._post("registered-models/alias", {"name": name, "alias": alias, "version": version})

    # How it is asked

    def _get(self, what: str, query: Mapping[str, str], unless: str = "") -> Any:
        return self._asked("GET", API + what, unless, params=query)

    def _post(self, what: str, body: Mapping[str, Any], unless: str = "") -> Any:
        return self._asked("POST", API + what, unless, json=body)

    def _asked(self, method: str, path: str, unless: str = "", **content: Any) -> Any:
        """Return the answer; None where it is the error that was to be expected."""
        with self._told():
            # A login goes to the address in the connection, and nowhere else.
            response = self._session.request(
                method,
                self._url + path,
                timeout=self._timeout,
                allow_redirects=False,
                # Of the connection: unless they are named, those of the environment come first.
                verify=self._session.verify,
                proxies=self._session.proxies,
                **content,
            )
            # To a file that is uploaded some servers answer with nothing at all.
            answer = _json(response) if response.content or method != "PUT" else {}
        if response.status_code < 300 and answer is not None:
            return answer
        code = str((answer or {}).get("error_code", ""))
        if code and code == unless:
            return None
        said = in_short(str((answer or {}).get("message") or response.reason or ""), self._secrets)
        raise self._refused(response.status_code, code, said)

    def _refused(self, status: int, code: str, said: str) -> AirflowException:
        if status in (401, 403):
            return InputError(
                f"The {self._where} does not let this task in ({status}: {said}); put a login and a "
                "password, or a token as the password alone, into the connection, and ask who runs it for "
                "the right to log"
            )
        if status == 429 or status >= 500:
            return AirflowException(f"The {self._where} failed ({status}: {said}); its own log tells more")
        if code:
            return InputError(f"The {self._where} refuses what it was asked ({code}: {said})")
        return InputError(
            f"What answers is not the {self._where} ({status}: {said}); give the host with http:// or "
            "https://, as a browser has it, with the path if it has one"
        )

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Raise an error of the way there in words."""
        from requests.exceptions import RequestException, SSLError

        try:
            yield
        except SSLError as error:
            raise InputError(
                f"TLS was not agreed on with the {self._where} ({self._reason(error)}); give the host with "
                'http:// where it has none, or {"verify": "/path/of/a/ca.pem"} in the connection\'s extra'
            ) from None
        except RequestException as error:
            if isinstance(error, ValueError):
                raise self._unusable(self._reason(error)) from None
            raise AirflowException(
                f"The {self._where} does not answer ({self._reason(error)}); look "
                "whether it runs, and at host and port of the connection"
            ) from None
        except (TypeError, ValueError) as error:
            # Its words may hold the login, which has letters that HTTP does not.
            raise self._unusable(type(error).__name__) from None

    def _unusable(self, why: str) -> InputError:
        return InputError(
            f"The connection to {self._where} cannot be used ({why}); look at its host, "
            "its login, password or token, which have Latin letters only, and its extra, which has options "
            "and headers as Airflow's HTTP connection does"
        )

    def _reason(self, error: Exception) -> str:
        """Return the innermost of the reasons that the HTTP library wraps into one another."""
        reason: Any = error
        while inner := getattr(reason, "reason", None) or next(
            (each for each in getattr(reason, "args", ()) if isinstance(each, Exception)), None
        ):
            reason = inner
        return in_short(re.sub(r"^<.*?>: |^\w+\(.*?\): ", "", str(reason)), self._secrets)


class _Bearer:
    """Lets a request in with a token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def _json(response: Response) -> Any:
    """Return the object that an answer holds; None where it holds anything else."""
    with contextlib.suppress(ValueError):
        answer = response.json()
        return answer if isinstance(answer, dict) else None
    return None


def _pairs(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def _now() -> int:
    return int(datetime.now(timezone.utc).timestamp() * 1000)
