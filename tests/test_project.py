"""Check what an installation rests on: version, licence, pinned dependencies, automation, and the tests."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from jaxtyping import TypeCheckError
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import warprefine
from warprefine.core.pseudolabel import Provenance, PseudoLabel

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys

sys.modules.update(dict.fromkeys(sys.argv[1:]))  # None makes an import fail
import warprefine

for module in pkgutil.walk_packages(warprefine.__path__, "warprefine."):
    if module.name not in ("warprefine.review.app", "warprefine.review.serve"):  # the extra `review`
        importlib.import_module(module.name)
"""


def requirements_of(name: str) -> set[str]:
    """Return the names of a distribution and of all that it needs, however far down, extras aside."""
    found: set[str] = set()
    queue = [name]
    while queue:
        distribution = canonicalize_name(queue.pop())
        if distribution not in found:
            found.add(distribution)
            needs = [Requirement(text) for text in metadata.requires(distribution) or ()]
            queue += [need.name for need in needs if not need.marker or need.marker.evaluate({"extra": ""})]
    return found


def test_version_stands_in_one_place():
    """The package states its version once; the installation takes it from there."""
    sources = {path: path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")}
    stating = [path for path, text in sources.items() if f'"{warprefine.__version__}"' in text]

    assert metadata.version("warprefine") == warprefine.__version__
    assert stating == [ROOT / "src/warprefine/__init__.py"]
    assert "version" in PROJECT["dynamic"]


def test_licence_is_apache_2():
    """The licence that the package names lies beside it, whole."""
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")

    assert PROJECT["license"] == "Apache-2.0"
    assert re.match(r"\s+Apache License\s+Version 2\.0, January 2004", text)
    assert "END OF TERMS AND CONDITIONS" in text


def read_yaml(name: str) -> Any:
    """Return what a YAML file of the repository says."""
    return yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))


def test_citation_names_this_version_and_the_paper():
    """Whoever cites the software cites this version of it, and the paper by all of its authors."""
    citation = read_yaml("CITATION.cff")
    paper = citation["preferred-citation"]

    assert (citation["title"], citation["version"]) == (PROJECT["name"], warprefine.__version__)
    assert citation["license"] == PROJECT["license"]
    assert citation["keywords"] == PROJECT["keywords"]
    assert paper["title"].startswith("Warp-Refine Propagation: Semi-Supervised Auto-labeling")
    assert [author["family-names"] for author in paper["authors"]] == [
        *("Ganeshan", "Vallet", "Kudo", "Maeda", "Kerola", "Ambruş", "Park", "Gaidon")
    ]


def test_changelog_has_this_version():
    """The list of changes has a section for this version, and above it one for what comes next."""
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    assert re.findall(r"^## \[(.*?)\]", changelog, re.MULTILINE)[:2] == ["Unreleased", warprefine.__version__]


def test_workflow_runs_on_every_python_that_the_package_names():
    """The tests run on each Python of the classifiers, the oldest being the one that the package requires."""
    job = read_yaml(".github/workflows/ci.yml")["jobs"]["test"]
    prefix = "Programming Language :: Python :: 3."
    named = [name.rpartition(" ")[2] for name in PROJECT["classifiers"] if name.startswith(prefix)]
    further = [case["python"] for case in job["strategy"]["matrix"]["include"]]

    assert job["strategy"]["matrix"]["python"] == named
    assert PROJECT["requires-python"] == f">={named[0]}"
    assert set(further) <= set(named)
    assert [step["run"] for step in job["steps"] if "run" in step] == ["bash .ci/run"]


def test_hooks_before_a_commit_are_those_of_make_lint():
    """What pre-commit runs is what `make lint` runs, from the same environment."""
    hooks = [hook for repo in read_yaml(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    recipe = re.search(
        r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert recipe is not None

    tools = sorted(set(re.findall(r"\.venv/bin/([\w-]+)", " ".join(hook["entry"] for hook in hooks))))

    assert {hook["language"] for hook in hooks} == {"system"}
    assert tools == sorted(set(re.findall(r"\$\(BIN\)/([\w-]+)", recipe[1])))


@pytest.mark.parametrize("name", ["bug_report", "feature_request"])
def test_issue_forms_ask_something(name):
    """Each form has a name, a description and labelled fields, at least one of them required."""
    form = read_yaml(f".github/ISSUE_TEMPLATE/{name}.yml")

    assert {"name", "description", "body"} <= form.keys()
    assert all(field["attributes"]["label"] for field in form["body"])
    assert any(field.get("validations", {}).get("required") for field in form["body"])


def test_constraints_pin_every_dependency_within_its_range():
    """What `make` installs is one exact public release of each package, and one that pip may choose."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    needs = [Requirement(text) for group in groups for text in group]
    needs = [need for need in needs if need.name != PROJECT["name"]]  # an extra that includes another

    assert [str(need) for need in needs if need.name not in pins] == []
    assert [str(need) for need in needs if pins[need.name] not in need.specifier] == []
    assert [pin for pin in pins.items() if not re.fullmatch(r"[0-9.]+(post[0-9]+)?", pin[1])] == []


def test_every_module_imports_without_the_dev_extra():
    """A user who installs nothing but the package can import all of it but the server of the review page."""
    needed = requirements_of("warprefine")
    surplus = {
        module
        for module, distributions in metadata.packages_distributions().items()
        if not needed.intersection(map(canonicalize_name, distributions))
    }

    command = [sys.executable, "-c", IMPORT_EVERYTHING, *sorted(surplus)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert {"beartype", "pytest", "torchmetrics"} <= surplus
    assert done.returncode == 0, done.stderr


def test_shapes_are_checked_while_the_tests_run():
    """A confidence of another size than its label map is refused."""
    provenance = Provenance(method="warp", key_frames=(3,), distance=1)
    labels = torch.zeros(1, 4, 5, dtype=torch.uint8)

    with pytest.raises(TypeCheckError, match="confidence"):
        PseudoLabel(frame=4, labels=labels, confidence=torch.zeros(1, 4, 6), provenance=provenance)


def test_every_test_says_what_it_shows():
    """The docstrings of the tests can be read as a description of the project."""
    silent = [
        f"{path.relative_to(ROOT)}: {node.name}"
        for path in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]

    assert silent == []
