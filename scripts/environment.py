"""Make .venv and install the pinned dependencies into it: ``python scripts/environment.py [extra …]``.

Python 3.6 can still parse this file, so that an old Python gets one clear line rather than a syntax error.
The plugin itself is not installed: Airflow finds it in its plugins folder, pytest on its `pythonpath`.
"""

import configparser
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".installed.json"
"""What is installed. Empty while an install runs, so that an interrupted one is never taken for complete."""

OLDEST, NEWEST = (3, 10), (3, 14)
GIGABYTES = 1.0
"""Disk space that .venv and uv's cache take without extras, with the bytecode that comes to be."""
GIGABYTES_OF_AN_EXTRA = 0.5
"""What the largest of test, s3, stack and bench adds."""

PROGRESS = re.compile(r"\s*(Resolved|Downloading|Downloaded|Prepared|Installed|Uninstalled) ")
NO_SPACE = re.compile(r"No space left on device|Disk quota exceeded")
NO_NETWORK = re.compile(
    r"error sending request|client error \(Connect\)|dns error|tcp connect error|operation timed out"
    r"|NewConnectionError|NameResolutionError|Failed to establish a new connection|Connection ?Refused",
    re.IGNORECASE,
)


class Problem(Exception):
    """What stands in the way, and its cure, in one line."""


def check_python(version: tuple) -> None:
    """Raise :class:`Problem` unless Airflow runs on this version of Python."""
    if not OLDEST <= tuple(version[:2]) <= NEWEST:
        raise Problem(
            "Python {}.{} is not supported; install Python 3.10 to 3.14 and name it: "
            "make PYTHON=python3.12 …".format(*version[:2])
        )


def check_disk(free: int, extras: set) -> None:
    """Raise :class:`Problem` unless so many free bytes are enough to install with these extras."""
    needed = GIGABYTES + GIGABYTES_OF_AN_EXTRA * len(extras)
    if free < needed * 1e9:
        raise Problem(
            f"No disk space: {ROOT} has {free / 1e9:.1f} GB free and .venv needs {needed:.1f} GB; "
            "free some and run make again"
        )


def requirements(extras: set) -> list:
    """Return the requirements that setup.cfg lists for the package and these extras of it."""
    lists = [_setting("options", "install_requires")]
    lists += [_setting("options.extras_require", extra) for extra in sorted(extras)]
    return [line for text in lists for line in text.split("\n") if line.strip()]


def requirements_of(extra: str) -> list:
    """Return what setup.cfg lists for one extra, without what the package needs."""
    return [line for line in _setting("options.extras_require", extra).split("\n") if line.strip()]


def _setting(section: str, name: str) -> str:
    config = configparser.ConfigParser()
    config.read(str(ROOT / "setup.cfg"), encoding="utf-8")
    return config.get(section, name, fallback="")


def digest(extras: set) -> str:
    """Return what changes when the dependencies of these extras, or their pins, do."""
    pins = (ROOT / "constraints.txt").read_bytes()
    return hashlib.sha256("\n".join(requirements(extras)).encode() + pins).hexdigest()


def installed() -> dict:
    """Return the stamp of .venv, the extras it was made for and their digest; empty where not complete."""
    try:
        return json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return {}


def is_complete(extras: set) -> bool:
    """Whether .venv holds what setup.cfg and constraints.txt ask for today, for at least these extras."""
    stamp = installed()
    return bool(stamp) and extras <= set(stamp["extras"]) and stamp["digest"] == digest(set(stamp["extras"]))


def is_usable() -> bool:
    """Whether .venv has a Python that runs, is supported, and is the one that ``PYTHON=`` asks for."""
    if STAMP.exists() and not STAMP.read_text():
        return False
    program = "import sys; assert sys.prefix != sys.base_prefix; print(*sys.version_info[:2])"
    try:
        found = subprocess.run([str(PYTHON), "-c", program], capture_output=True, text=True)
    except OSError:
        return False
    if found.returncode:
        return False
    version = tuple(int(part) for part in found.stdout.split())
    chosen = "PYTHON" in os.environ
    return OLDEST <= version <= NEWEST and (not chosen or version == sys.version_info[:2])


def run(command: list, env: dict) -> None:
    """Run an installer, showing how far it is; raise :class:`Problem` where it fails."""
    output = []
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=env, stdout=pipe, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            output.append(line)
            if PROGRESS.match(line):
                print(line.rstrip(), flush=True)
    if process.returncode:
        raise problem("".join(output))


def problem(output: str) -> Problem:
    """Return what an installer's output says went wrong."""
    if NO_SPACE.search(output):
        return Problem("No disk space; free some and run make again")
    if NO_NETWORK.search(output):
        return Problem(
            "No network: the package index cannot be reached; connect, or name a proxy or mirror "
            "(HTTPS_PROXY, UV_DEFAULT_INDEX), and run make again"
        )
    if "ensurepip" in output:
        return Problem(
            "This Python cannot make virtual environments; install its venv module (Debian and Ubuntu: "
            "apt-get install python3-venv) or uv, and run make again"
        )
    return Problem(f"Installing failed:\n{output.rstrip()}")


def works(uv: str) -> bool:
    """Whether this uv is there and runs: a version manager's shim can be there and fail."""
    try:
        return subprocess.run([uv, "--version"], capture_output=True).returncode == 0
    except OSError:
        return False


def install(extras: set) -> None:
    """Make .venv where there is none to use, and install the pinned dependencies of these extras."""
    env = {"UV_CACHE_DIR": str(ROOT / ".cache" / "uv"), "PIP_NO_CACHE_DIR": "1", **os.environ}
    uv = "uv" if works("uv") else str(VENV / "bin" / "uv")
    if not is_usable():
        if uv == "uv":
            run(["uv", "venv", "--quiet", "--clear", "--python", sys.executable, str(VENV)], env)
        else:
            run([sys.executable, "-m", "venv", "--clear", str(VENV)], env)
    STAMP.write_text("")
    if not works(uv):
        run([str(PYTHON), "-m", "pip", "install", "--quiet", "uv"], env)
    pins = ["-c", str(ROOT / "constraints.txt")]
    run([uv, "pip", "install", "--python", str(PYTHON), *pins, *requirements(extras)], env)
    STAMP.write_text(json.dumps({"extras": sorted(extras), "digest": digest(extras)}))


def main(extras: set) -> None:
    """Bring .venv up to date, or find in a moment that it is."""
    check_python(sys.version_info)
    if is_usable() and is_complete(extras):
        return
    extras = extras | set(installed().get("extras", ()))
    check_disk(shutil.disk_usage(str(ROOT)).free, extras)
    print("Installing the dependencies into .venv, a minute or two the first time …", flush=True)
    install(extras)


if __name__ == "__main__":
    try:
        main(set(sys.argv[1:]))
    except Problem as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("Interrupted; run make again to go on")
