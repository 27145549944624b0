"""Put small faults into the code, one at a time, and see whether the tests beside it notice.

``python scripts/mutants.py [--sample N] [ROOM or module …]`` runs mutmut over each room and its tests. What
it leaves is in .cache/mutants, in a folder a room, for ``mutmut browse``, with the survivors as diffs.
"""

from __future__ import annotations

import argparse
import ast
import configparser
import difflib
import json
import os
import random
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from environment import Problem

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".cache" / "mutants"
PACKAGE = "airflow_segmentation"
WANTED = 0.85
"""Share of a room's mutants that its tests should kill."""


@dataclass(frozen=True)
class Room:
    """Modules that are changed together, and the tests that should notice."""

    modules: tuple[str, ...]
    """Glob patterns below the package."""
    tests: tuple[str, ...]
    """Below tests/; for each mutant those run that reach it, the fastest first."""


ROOMS = {
    "clustering": Room(("clustering/*.py",), ("clustering",)),
    "tables": Room(
        tuple(
            f"tables/{name}.py"
            for name in ("advice", "ahead", "csv_files/*", "data", "opening", "parquet", "parts")
        ),
        (
            "tables/csv_files",
            *(f"tables/test_{name}.py" for name in ("advice", "opening", "parquet", "parts")),
        ),
    ),
    "scaling": Room(
        ("tables/scaling.py", "tables/passes.py"),
        ("tables/test_scaling.py", "operators/test_kmeans_predict.py"),
    ),
    "sweeps": Room(("sweeps/*.py",), ("sweeps", "operators/test_alone.py")),
    "storage": Room(("storage/*.py",), ("storage", "security/test_links.py", "operators/test_clean_up.py")),
    "model": Room(("segments/*.py",), ("segments", "security/test_models.py")),
    "reports": Room(("reports/*.py",), ("reports",)),
    "access": Room(("www/access.py",), ("www/test_access.py",)),
}

KILLED = {
    1: "failed",
    3: "failed",
    24: "out of time",
    -24: "out of time",
    36: "out of time",
    152: "out of time",
}
"""What mutmut's exit codes of a mutant that was noticed mean."""
UNREACHED = (5, 33)


class Blind(ast.NodeTransformer):
    """Takes away what no test should look at, so that mutants of nothing else are left out.

    Log lines; ``strict=``, which only guards against faults of our own; the types that ``cast`` names;
    whether the subscripts of ``einsum`` are capitals; and what Arrow's error says where it is raised here, to
    hand a file over to pandas.
    """

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        match node.value:
            case ast.Call(func=ast.Attribute(value=ast.Name("log") | ast.Attribute(attr="log"))):
                return ast.Pass()
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        node.keywords = [keyword for keyword in node.keywords if keyword.arg not in ("strict", "stacklevel")]
        match node:
            case ast.Call(func=ast.Name("cast"), args=[_, value]):
                return value
            case ast.Call(func=ast.Attribute(attr="ArrowInvalid")):
                node.args = []
            case ast.Call(func=ast.Attribute(attr="einsum"), args=[ast.Constant(str() as subscripts), *_]):
                node.args[0] = ast.Constant(subscripts.lower())
        return node

    def seen(self, function: ast.FunctionDef) -> str:
        """Return what a test may look at in a function."""
        function.name = ""
        return ast.dump(self.visit(function))


def rooms(names: list[str]) -> dict[str, list[Path]]:
    """Return the modules of each room that is named, or that holds a module named, such as clustering/chain.

    :raises Problem: if there is no such room or module.
    """
    package = ROOT / "plugins" / PACKAGE
    found = {
        name: sorted(path for pattern in room.modules for path in package.glob(pattern))
        for name, room in ROOMS.items()
    }
    chosen: dict[str, list[Path]] = {}
    for name in names or list(found):
        held = {
            room: path for room, paths in found.items() for path in paths if path == package / f"{name}.py"
        }
        if name not in found and not held:
            raise Problem(
                f"ONLY={name} should be a module, such as clustering/chain, or among {', '.join(ROOMS)}"
            )
        for room, paths in (
            {name: found[name]} if name in found else {r: [p] for r, p in held.items()}
        ).items():
            chosen.setdefault(room, []).extend(path for path in paths if path not in chosen.get(room, ()))
    return chosen


def lay_out(room: str, paths: list[Path]) -> Path:
    """Make a folder in which mutmut finds the package, its tests and its own settings; return it."""
    folder = FOLDER / room
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "mutants").mkdir(parents=True)
    # mutmut tells the module of a file by its path, below src/ as below the root.
    shutil.copytree(ROOT / "plugins", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "mutants" / "plugins").symlink_to("src")
    for name in ("pyproject.toml", "README.md", "docs", "dags", "data", "scripts", "tests"):
        (folder / name).symlink_to(ROOT / name)
    config = configparser.RawConfigParser()
    config.read(ROOT / "setup.cfg")
    config["mutmut"] = {
        "source_paths": "src",
        "only_mutate": "\n".join(["", *(str("src" / path.relative_to(ROOT / "plugins")) for path in paths)]),
        "also_copy": "\ndags\ndata\nscripts\nREADME.md\ndocs",
        "pytest_add_cli_args": "\n--hypothesis-profile=mutants\n-p\nno:cacheprovider",
        "pytest_add_cli_args_test_selection": "\n".join(
            ["", *(f"tests/{test}" for test in ROOMS[room].tests)]
        ),
        # Wide: a busy machine is no fault that tests found.
        "timeout_multiplier": "6",
        "timeout_constant": "5",
        "use_git_change_detection": "false",
    }
    with (folder / "setup.cfg").open("w") as file:
        config.write(file)
    return folder


def mutants(path: Path) -> dict[str, str]:
    """Return the mutants of a module by name, as mutmut makes and names them, and how each differs."""
    from mutmut.mutation.file_mutation import mutate_file_contents

    source = mutate_file_contents(str(path), path.read_text())
    functions = {
        node.name: node for node in ast.walk(ast.parse(source.code)) if isinstance(node, ast.FunctionDef)
    }
    module = ".".join(path.relative_to(ROOT / "plugins").with_suffix("").parts)
    texts = {name: ast.unparse(node).replace(name, "") for name, node in functions.items()}
    seen = {name: Blind().seen(node) for name, node in functions.items()}
    found = {}
    for name in source.mutant_names:
        original = f"{name.rpartition('__mutmut_')[0]}__mutmut_orig"
        if seen[name] != seen[original]:
            lines = difflib.unified_diff(
                texts[original].splitlines(), texts[name].splitlines(), n=1, lineterm=""
            )
            found[f"{module}.{name}".replace(".__init__.", ".")] = "\n".join(list(lines)[2:])
    return found


def run(room: str, paths: list[Path], sample: int | None) -> bool:
    """Run a room's mutants, or a sample of them, and print one line; return whether enough were killed."""
    folder = lay_out(room, paths)
    os.chdir(folder)  # mutmut reads its settings from where it is
    found = {name: diff for path in paths for name, diff in mutants(path).items()}
    names = sorted(found)
    if sample is not None and sample < len(names):
        names = sorted(random.Random(0).sample(names, sample))
    # One thread: OpenMP's do not survive the forks that mutmut runs each mutant in.
    env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200", "DIFFERENTIAL_CASES": "150"}
    with (folder / "run.log").open("w") as log:
        command = [str(Path(sys.executable).with_name("mutmut")), "run", "--max-children", "1", *names]
        ran = subprocess.run(command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT)
    codes: dict[str, int | None] = {}
    for meta in (folder / "mutants" / "src").rglob("*.meta"):
        codes |= json.loads(meta.read_text())["exit_code_by_key"]
    codes = {name: codes.get(name) for name in names}
    if ran.returncode or None in codes.values():
        print(f"{room}: could not be run to its end; see {folder / 'run.log'}", flush=True)
        return False
    survivors = [name for name, code in codes.items() if code not in KILLED]
    (folder / "survivors.diff").write_text("".join(f"# {name}\n{found[name]}\n\n" for name in survivors))
    counts = Counter(KILLED.get(code or 0, "survived") for code in codes.values())
    share = 1 - len(survivors) / max(len(names), 1)
    of = f" of {len(found)}" if len(names) < len(found) else ""
    print(
        f"{room}: {share:.1%} killed; {len(names)}{of} mutants, {counts['survived']} survived, "
        f"{sum(code in UNREACHED for code in codes.values())} of those reached by no test, "
        f"{counts['out of time']} ran out of time; see {folder / 'survivors.diff'}",
        flush=True,
    )
    return share >= WANTED


def main(arguments: list[str]) -> int:
    """Run rooms; return 1 if in one of them fewer mutants were killed than wanted."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"a module, or one of {', '.join(ROOMS)}")
    parser.add_argument(
        "--sample", type=int, help="of each room so many mutants, drawn at random, always the same"
    )
    options = parser.parse_args(arguments)
    enough = [run(room, paths, options.sample) for room, paths in rooms(options.names).items()]
    return 0 if all(enough) else 1


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Problem as problem:
        sys.exit(str(problem))
