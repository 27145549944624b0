from __future__ import annotations

import ast
import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import environment
import pytest

ROOT = Path(environment.__file__).resolve().parents[1]


@pytest.mark.parametrize("version", [(3, 10), (3, 11, 7), (3, 12), (3, 14, 0, "final", 0)])
def test_supported_pythons_pass(version):
    environment.check_python(version)


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 9, 20), (3, 15, 0)])
def test_another_python_is_named_with_the_cure(version):
    with pytest.raises(
        environment.Problem, match=rf"Python {version[0]}\.{version[1]} .*make PYTHON="
    ) as error:
        environment.check_python(version)
    assert "\n" not in str(error.value)


def test_an_old_python_can_parse_the_script_to_say_so():
    ast.parse(Path(environment.__file__).read_text(), feature_version=(3, 6))


def test_too_little_disk_space_is_told_before_anything_is_installed():
    environment.check_disk(int(1.5e9), {"test"})
    with pytest.raises(
        environment.Problem, match=r"No disk space: .* has 1\.5 GB free and .* needs 3\.0 GB; "
    ):
        environment.check_disk(int(1.5e9), {"test", "s3", "stack", "bench"})


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("error: Failed to copy file: No space left on device (os error 28)", "No disk space"),
        ("error sending request for url (…): client error (Connect): dns error", "No network"),
        ("Failed to establish a new connection: [Errno -3] Temporary failure", "No network"),
        ("ensurepip is not available", "apt-get install python3-venv"),
    ],
)
def test_what_an_installer_says_becomes_one_line(output, words):
    problem = str(environment.problem(output))
    assert words in problem
    assert "\n" not in problem


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout, at a path with a space, of a project that needs one package, and wheels to install."""
    checkout = tmp_path / "a checkout"
    (checkout / "scripts").mkdir(parents=True)
    shutil.copy(environment.__file__, checkout / "scripts")
    (checkout / "setup.cfg").write_text(
        "[options]\ninstall_requires =\n    lemon>=1\n[options.extras_require]\ntest =\n    pear\n"
    )
    (checkout / "constraints.txt").write_text("lemon==1.0\npear==1.0\n")
    for name, version in [("lemon", "1.0"), ("lemon", "2.0"), ("pear", "1.0")]:
        write_wheel(checkout / "wheels", name, version)
    return checkout


def write_wheel(folder: Path, name: str, version: str) -> None:
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"version = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b'=').decode()},"
        for path, text in files.items()
    ]
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in (files | {f"{info}/RECORD": "\n".join([*record, f"{info}/RECORD,,", ""])}).items():
            wheel.writestr(path, text)


def set_up(checkout: Path, *extras: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script without a package index, but with the wheels."""
    settings = {"UV_NO_INDEX": "1", "UV_FIND_LINKS": str(checkout / "wheels")} | variables
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHON"}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, str(checkout / "scripts" / "environment.py"), *extras],
        env=inherited | {"PATH": path} | settings,
        capture_output=True,
        text=True,
        timeout=120,
    )


def version(checkout: Path, name: str = "lemon") -> str:
    """The version of a package that .venv has, empty if it has none."""
    program = f"import {name}; print({name}.version)"
    found = subprocess.run(
        [str(checkout / ".venv/bin/python"), "-c", program], capture_output=True, text=True, check=False
    )
    return found.stdout.strip()


def test_installs_what_is_pinned_and_a_second_time_nothing(checkout):
    assert set_up(checkout).returncode == 0
    assert version(checkout) == "1.0"
    again = set_up(checkout, UV_FIND_LINKS="")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")


def test_writes_inside_the_checkout_only(checkout, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    assert set_up(checkout, HOME=str(home)).returncode == 0
    assert list(home.iterdir()) == []


def test_new_pins_are_installed(checkout):
    set_up(checkout)
    (checkout / "constraints.txt").write_text("lemon==2.0\npear==1.0\n")
    assert set_up(checkout).returncode == 0
    assert version(checkout) == "2.0"


def test_an_extra_is_added_and_stays(checkout):
    set_up(checkout)
    assert version(checkout, "pear") == ""
    set_up(checkout, "test")
    assert version(checkout, "pear") == "1.0"
    assert set_up(checkout).stdout == ""
    assert set_up(checkout, "test").stdout == ""


def test_an_unreachable_index_is_one_line_and_no_complete_environment(checkout):
    unreachable = {"UV_NO_INDEX": "", "UV_FIND_LINKS": "", "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple"}
    failed = set_up(checkout, UV_HTTP_RETRIES="0", **unreachable)
    assert failed.returncode == 1
    assert failed.stderr.startswith("No network: ")
    assert failed.stderr.count("\n") == 1
    assert set_up(checkout).returncode == 0
    assert version(checkout) == "1.0"


def test_an_interrupted_install_starts_anew(checkout):
    set_up(checkout)
    module = next((checkout / ".venv").glob("lib/*/site-packages/lemon.py"))
    module.unlink()  # as if killed between its metadata and its module
    (checkout / ".venv" / ".installed.json").write_text("")
    assert set_up(checkout).returncode == 0
    assert version(checkout) == "1.0"


def test_an_environment_that_someone_else_made_is_kept(checkout):
    venv.create(checkout / ".venv")
    kept = checkout / ".venv" / "kept"
    kept.touch()
    assert set_up(checkout).returncode == 0
    assert version(checkout) == "1.0"
    assert kept.exists()


def test_an_environment_whose_python_is_gone_is_made_anew(checkout):
    set_up(checkout)
    python = checkout / ".venv" / "bin" / "python"
    python.unlink()
    python.symlink_to(checkout / "no such python")
    assert set_up(checkout).returncode == 0
    assert version(checkout) == "1.0"


def test_the_constraints_pin_every_file_and_name_no_index():
    text = (ROOT / "constraints.txt").read_text().replace("\\\n", "")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(re.match(r"\S+==[^:]+( +--hash=sha256:[0-9a-f]{64})+$", line) for line in lines)
    pinned = {line.split("==")[0] for line in lines}
    names = {requirement.split(">")[0] for requirement in environment.requirements({"test", "bench"})}
    assert names <= pinned
