"""The documents: links that lead somewhere, examples that run, and nothing left out."""

from __future__ import annotations

import inspect
import re
import subprocess
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow_segmentation import operators
from airflow_segmentation.clustering.methods import METHODS
from airflow_segmentation.operators import form_params
from airflow_segmentation.operators.passing import PassingOperator

ROOT = Path(__file__).resolve().parents[2]
OPERATORS = (ROOT / "docs" / "operators.md").read_text()
LINK = re.compile(r"""\]\(([^)\s]+)\)|\bsrc(?:set)?="([^"]+)\"""")


@cache
def documents() -> list[Path]:
    """Return the documents of this checkout, those not committed yet too."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE))


def links(document: Path) -> list[str]:
    """Return where a document leads within this checkout."""
    found = (one or other for one, other in LINK.findall(without_code(document.read_text())))
    return [link for link in found if not re.match("[a-z]+:", link)]


def anchors(document: Path) -> set[str]:
    """Return the anchors that a page shows of a document's headings, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def leads_nowhere(document: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = document.parent / unquote(path) if path else document
    return not target.exists() or bool(anchor and anchor not in anchors(target))


def test_every_link_and_image_leads_to_a_file_and_a_heading_of_it():
    checked = [(document, link) for document in documents() for link in links(document)]

    assert len(checked) > 50
    assert [(str(document), link) for document, link in checked if leads_nowhere(document, link)] == []


@pytest.mark.parametrize(
    "link", ["docs/nothing.md", "docs/install.md#nothing", "#nothing", "docs/images/no.png"]
)
def test_a_link_that_leads_nowhere_is_seen(link: str):
    assert leads_nowhere(ROOT / "README.md", link)


def test_every_document_can_be_reached_from_the_readme():
    reached, waiting = set(), [ROOT / "README.md"]
    while waiting:
        document = waiting.pop()
        if document not in reached:
            reached.add(document)
            targets = [(document.parent / link.partition("#")[0]).resolve() for link in links(document)]
            waiting += [target for target in targets if target.suffix == ".md"]

    assert set(documents()) - reached == set()


@pytest.mark.parametrize("name", [name for name in operators.__all__ if name.endswith("Operator")])
def test_every_parameter_of_an_operator_is_told_and_whether_it_is_templated(name: str):
    operator: type[BaseOperator] = getattr(operators, name)
    shared = set(inspect.signature(PassingOperator.__init__).parameters)
    own = set(inspect.signature(operator.__init__).parameters) - shared
    section = OPERATORS.partition(f"\n## {name}\n")[2].partition("\n## ")[0]
    told: dict[str, bool] = {}
    for cell in re.findall(r"^\| ((?:`\w+`(?:, )?)+(?: \*\*T\*\*)?) \|.*\|.*\|$", section, re.MULTILINE):
        told |= dict.fromkeys(re.findall(r"`(\w+)`", cell), "**T**" in cell)

    assert told == {parameter: parameter in operator.template_fields for parameter in own}


def test_what_operators_share_is_told():
    section = OPERATORS.partition("\n## What they have in common\n")[2].partition("\n## ")[0]
    assert [name for name in PassingOperator.template_fields if f"| `{name}` **T** |" not in section] == []


def test_every_method_and_every_question_of_the_form_is_told():
    methods = OPERATORS.partition("| method | takes |")[2].partition("\n\n")[0]
    form = OPERATORS.partition("\n## The form of a Dag\n")[2]
    assert set(re.findall(r"`(\w+)`", methods)) == set(METHODS)
    assert [name for name in form_params([], []) if f"`{name}`" not in form] == []


def examples() -> list[str]:
    texts = [(ROOT / name).read_text() for name in ("README.md", "docs/operators.md")]
    found = [
        block for text in texts for block in re.findall(r"^```python\n(.+?)^```$", text, re.DOTALL | re.M)
    ]
    return [block for block in found if block.startswith("from airflow.sdk import DAG")]


@pytest.mark.parametrize("example", examples())
def test_an_example_makes_a_dag_of_tasks_in_a_line(example: str):
    scope: dict[str, object] = {}
    exec(example, scope)
    before = [task for task in scope.values() if isinstance(task, BaseOperator)]
    dag = before[0].dag
    assert isinstance(dag, DAG)
    assert all(len(task.upstream_task_ids) <= 1 for task in before)
    assert len(dag.roots) == 1
