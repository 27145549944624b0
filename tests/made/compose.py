"""What docker-compose.yaml says, as `docker compose` reads it: the part of its specification that we use."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

COMPLETED = "service_completed_successfully"
HEALTHY = "service_healthy"

_VARIABLE = re.compile(r"\$(?:\$|\{(?P<name>\w+):-(?P<default>[^}]*)\})")


@dataclass(frozen=True)
class Service:
    """One service, its variables filled in."""

    name: str
    entrypoint: list[str]
    """What runs the command instead of the image's own entrypoint; empty for that."""
    command: list[str]
    environment: dict[str, str]
    depends_on: dict[str, str]
    """Names of services, and the condition to wait for."""
    healthcheck: str | None
    """The shell command that tells by its exit status whether the service is healthy."""
    volumes: dict[str, str]
    """Folders in the container, and what is mounted there: a path with a dot in front, or a volume's name."""
    profiles: list[str]
    """Profiles that the service is in; none where it is always started."""


def read_services(path: Path, variables: Mapping[str, str]) -> dict[str, Service]:
    """Return the services of a compose file, those of every profile too."""
    found = _filled(yaml.safe_load(path.read_text()), variables)["services"]
    return {name: _service(name, service) for name, service in found.items()}


def _service(name: str, service: Mapping[str, Any]) -> Service:
    return Service(
        name=name,
        entrypoint=_words(service.get("entrypoint", [])),
        command=_words(service.get("command", [])),
        environment=service.get("environment", {}),
        depends_on={other: how["condition"] for other, how in service.get("depends_on", {}).items()},
        healthcheck=_check(service["healthcheck"]["test"]) if "healthcheck" in service else None,
        volumes={
            target: source for source, target, *_ in (item.split(":") for item in service.get("volumes", []))
        },
        profiles=service.get("profiles", []),
    )


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    """Return the value with `${NAME:-default}` and `$$` replaced in every text."""
    if isinstance(value, str):
        return _VARIABLE.sub(
            lambda found: variables.get(found["name"], found["default"]) if found["name"] else "$", value
        )
    if isinstance(value, list):
        return [_filled(item, variables) for item in value]
    if isinstance(value, dict):
        return {key: _filled(item, variables) for key, item in value.items()}
    return value


def _words(command: str | list[str]) -> list[str]:
    return command.split() if isinstance(command, str) else command


def _check(test: list[str]) -> str:
    kind, *command = test
    return command[0] if kind == "CMD-SHELL" else shlex.join(command)
