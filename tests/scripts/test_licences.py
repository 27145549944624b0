from __future__ import annotations

import licences
import pytest


def test_every_runtime_dependency_goes_with_apache_2():
    refused = {
        package.metadata["Name"]: licences.licence(package)
        for package in licences.runtime_distributions()
        if not licences.is_compatible(licences.licence(package))
    }
    assert refused == {}


def test_dependencies_of_dependencies_are_looked_at():
    names = {package.metadata["Name"].lower() for package in licences.runtime_distributions()}
    assert {"scikit-learn", "scipy", "apache-airflow-core", "text-unidecode"} <= names
    assert "pytest" not in names


@pytest.mark.parametrize(
    ("expression", "compatible"),
    [
        ("MIT", True),
        ("MIT AND (Apache-2.0 OR BSD-2-Clause)", True),
        ("GPL-3.0-only OR MIT", True),
        ("GPL-3.0-only", False),
        ("MIT AND AGPL-3.0-or-later", False),
        ("LGPL-3.0-only", False),
        ("unknown", False),
        ("", False),
    ],
)
def test_of_several_licences_one_or_all_must_go_with_apache_2(expression, compatible):
    assert licences.is_compatible(expression) is compatible
