"""List the licences of what is installed with the plugin, and fail if one does not go with Apache-2.0.

``python scripts/licences.py`` reads the metadata of the installed packages that setup.cfg requires, and of
those that they require in turn.
"""

from __future__ import annotations

import configparser
import re
import sys
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]

PERMISSIVE = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "MIT", "MIT-0"),
    *("MIT-CMU", "PSF-2.0", "Unlicense", "Zlib"),
}
"""Licences, by their SPDX id, under which a package may become part of a work under Apache-2.0."""
UNCHANGED = {"Artistic-1.0-Perl", "MPL-2.0"}
"""Licences that bind those who change a package: it may be used as it is, which is how it is used here."""

UNTOLD = {
    "kneed": "BSD-3-Clause",
    "skops": "MIT",
    "text-unidecode": "Artistic-1.0-Perl OR GPL-2.0-or-later",
}
"""Licences that stand in the licence file of a package, and not plainly in its metadata."""
SPDX = {
    "apache 2": "Apache-2.0",
    "apache license": "Apache-2.0",
    "apache software license": "Apache-2.0",
    "bsd": "BSD-3-Clause",
    "bsd license": "BSD-3-Clause",
    "3-clause bsd": "BSD-3-Clause",
    "isc license": "ISC",
    "mit license": "MIT",
    "mozilla public license 2.0": "MPL-2.0",
    "python software foundation license": "PSF-2.0",
    "the unlicense": "Unlicense",
}
"""What packages call their licence that name no SPDX id, by how it begins in small letters."""


def runtime_distributions() -> list[Distribution]:
    """Return the installed packages that setup.cfg requires, directly or not, by name."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    wanted = [Requirement(line) for line in config["options"]["install_requires"].split("\n") if line]
    found: dict[tuple[str, str], Distribution] = {}
    while wanted:
        requirement = wanted.pop()
        name = canonicalize_name(requirement.name)
        package = distribution(name)
        for extra in {"", *requirement.extras}:
            if (name, extra) not in found:
                found[name, extra] = package
                lines = map(Requirement, package.requires or ())
                wanted += [
                    line for line in lines if line.marker is None or line.marker.evaluate({"extra": extra})
                ]
    by_name = {name: package for (name, _), package in found.items()}
    return [by_name[name] for name in sorted(by_name)]


def licence(package: Distribution) -> str:
    """Return a package's licence as an SPDX expression where it can be told, or else as the package says."""
    about: Any = package.metadata
    if untold := UNTOLD.get(canonicalize_name(about["Name"])):
        return untold
    if expression := about.get("License-Expression"):
        return expression
    classifiers = [line.split(" :: ")[-1] for line in about.get_all("Classifier", []) if "License ::" in line]
    for text in [*classifiers, (about.get("License") or "").strip().split("\n")[0]]:
        if text in PERMISSIVE | UNCHANGED:
            return text
        for beginning, spdx in sorted(SPDX.items(), key=lambda item: -len(item[0])):
            if text.lower().startswith(beginning):
                return spdx
    return " / ".join(classifiers) or (about.get("License") or "unknown").split("\n")[0]


def is_compatible(expression: str) -> bool:
    """Tell whether what an SPDX expression allows suffices: of `OR` one part, of `AND` all."""
    expression = expression.replace("(", " ").replace(")", " ")
    return all(
        any(part.strip() in PERMISSIVE | UNCHANGED for part in re.split(r"\s+OR\s+", every))
        for every in re.split(r"\s+AND\s+", expression)
    )


def main() -> int:
    """Print the table, and return 1 if a licence is not compatible."""
    rows = [
        (package.metadata["Name"], package.version, licence(package)) for package in runtime_distributions()
    ]
    print("| package | version | licence |\n|---|---|---|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    refused = [f"{name} ({terms})" for name, _, terms in rows if not is_compatible(terms)]
    if refused:
        print(f"Not compatible with Apache-2.0: {', '.join(refused)}", file=sys.stderr)
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
