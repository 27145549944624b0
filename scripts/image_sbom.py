"""List the Python packages of the image that Dockerfile makes, as CycloneDX has it.

``python scripts/image_sbom.py FILE`` builds the image, unless Docker has it, and asks it in a container that
is thrown away. Where Docker does not run it says so, and there is no file.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

# The tool has an environment of its own, or it would be listed, too.
IN_IMAGE = """
cat > /tmp/pyproject.toml
python -m venv /tmp/tool
/tmp/tool/bin/pip install --quiet --disable-pip-version-check cyclonedx-bom
exec /tmp/tool/bin/cyclonedx-py environment --output-reproducible --pyproject /tmp/pyproject.toml \
    "$(command -v python)"
"""


def runs() -> bool:
    """Tell whether there is a Docker that answers."""
    try:
        return subprocess.run(["docker", "info"], capture_output=True).returncode == 0
    except OSError:
        return False


def sbom() -> bytes:
    """Return the list, whose main component is the image, with its digest for a version."""
    build = ["docker", "build", "--quiet", str(ROOT)]
    image = subprocess.run(build, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    component = f'[project]\nname = "airflow-segmentation-image"\nversion = "{image}"\n'
    ask = ["docker", "run", "--rm", "--interactive", "--entrypoint", "bash", image, "-ec", IN_IMAGE]
    return subprocess.run(ask, input=component.encode(), stdout=subprocess.PIPE, check=True).stdout


def main(file: str) -> None:
    """Write the list, or say why there is none."""
    Path(file).unlink(missing_ok=True)
    if runs():
        Path(file).write_bytes(sbom())
    else:
        print(f"Docker does not run here: there is no {file}, and the image is not listed")


if __name__ == "__main__":
    main(*sys.argv[1:])
