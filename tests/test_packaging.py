"""What is in the wheel, and what it says of itself."""

from __future__ import annotations

import configparser
import re
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "plugins" / "airflow_segmentation"


@pytest.fixture(scope="session")
def metadata(installed: Path) -> Message:
    """What the wheel says of itself."""
    (path,) = installed.glob("*.dist-info/METADATA")
    return message_from_bytes(path.read_bytes())


def test_the_wheel_holds_the_whole_package_and_nothing_else(wheel: Path) -> None:
    kinds = {".py", ".html", ".js", ".css", ".typed"}
    package = {str(path.relative_to(PACKAGE.parent)) for path in PACKAGE.rglob("*") if path.suffix in kinds}
    document = ROOT / "docs" / "choosing-k.md"
    images = (ROOT / "docs" / "images").glob("choosing-*.png")
    package |= {f"airflow_segmentation/{path.relative_to(ROOT)}" for path in (document, *images)}

    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert {"templates", "static", "images"} <= {Path(name).parent.name for name in names}
    assert names == package


def test_it_has_the_version_and_python_of_setup_cfg(metadata: Message) -> None:
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")

    assert metadata["Version"] == config["metadata"]["version"]
    pythons = {part.strip() for part in config["options"]["python_requires"].split(",")}
    assert set(metadata["Requires-Python"].split(",")) == pythons


def test_the_latest_changes_are_those_of_this_version(metadata: Message) -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert headings[0] == metadata["Version"]


def test_it_is_licensed_as_apache_2_with_the_text(installed: Path, metadata: Message) -> None:
    assert metadata["License-Expression"] == "Apache-2.0"
    (text,) = installed.glob("*.dist-info/licenses/LICENSE")
    assert text.read_text() == (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text.read_text()
