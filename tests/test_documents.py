"""Check that the documents and the help tell the truth: each command, option and file in them exists."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from warprefine.cli.commands import app

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(path for where in ("*", "docs/**/*", "tests/**/*") for path in ROOT.glob(f"{where}.md"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))


def walk(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield a command and all commands below it, each with the words that call it."""
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from walk(child, (*path, name))


COMMANDS = dict(walk(typer.main.get_command(app)))
LEAVES = [path for path, command in COMMANDS.items() if not hasattr(command, "commands")]


def calls(text: str) -> list[str]:
    """Return the lines that call `make` or `warprefine`, continued lines joined."""
    return re.findall(r"^\s*(?:\$ )?((?:make|warprefine)\b.*)$", text.replace("\\\n", " "), re.MULTILINE)


def code(text: str) -> str:
    """Return what stands between the fences of a Markdown text."""
    return "\n".join(re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL))


def python_blocks(text: str) -> list[str]:
    """Return the blocks of Python in a Markdown text."""
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def imported_names(block: str) -> list[tuple[str, str]]:
    """Return each module that Python code imports from, with the name that it takes; "" for the module."""
    nodes = list(ast.walk(ast.parse(block)))
    modules = [(alias.name, "") for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    return modules + [
        (node.module or "", alias.name)
        for node in nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]


def pages_of(nav: Any) -> list[str]:
    """Return the pages of the site's navigation, in order."""
    if isinstance(nav, str):
        return [nav]
    return [page for entry in (nav.values() if isinstance(nav, dict) else nav) for page in pages_of(entry)]


def strays(call: str) -> list[str]:
    """Return the words of a call that name a command, option or target which does not exist."""
    program, *words = shlex.split(call, comments=True)
    if program == "make":
        return [word for word in words if "=" not in word and word not in TARGETS]
    path: tuple[str, ...] = ()
    while (*path, *words[:1]) in COMMANDS and words:
        path = (*path, words.pop(0))
    known = {name for option in COMMANDS[path].params for name in (*option.opts, *option.secondary_opts)}
    options = [word for word in words if re.match("--?[a-z]", word)]
    missing = words[:1] if path not in LEAVES and words[:1] != options[:1] else []
    return missing + [option for option in options if option.partition("=")[0] not in {*known, "--help"}]


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_help(path):
    """A user who asks a command for help gets it."""
    result = CliRunner().invoke(app, [*path, "--help"])

    assert result.exit_code == 0
    assert "Usage" in result.output


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_every_command_shows_an_example(path):
    """The help of a command holds a call of it, with options that it has."""
    quoted = re.findall(r"`(warprefine\b[^`]*)`", COMMANDS[path].help)
    examples = [" ".join(call.split()) for call in quoted]

    assert "Example" in CliRunner().invoke(app, [*path, "--help"]).output
    assert [example for example in examples if example.split()[1 : len(path) + 1] == list(path)]
    assert {example: strays(example) for example in examples if strays(example)} == {}


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_help_shows_words_as_they_are_typed(path):
    """No `:train:` of an example turns into a picture of a train."""
    shown = CliRunner().invoke(app, [*path, "--help"]).output

    assert re.findall(r"[\U0001F000-\U0001FFFF]", shown) == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_the_documents_exist(document):
    """Every command and option that a document tells its reader to type is there."""
    found = calls(code(document.read_text(encoding="utf-8")))

    assert {call: strays(call) for call in found if strays(call)} == {}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_the_documents_link_to_exist(document):
    """Every file that a document links to is there."""
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8"))

    assert [target for target in targets if not (document.parent / target).exists()] == []


@pytest.mark.parametrize(
    "document",
    [path for path in DOCUMENTS if path.parent.name in (ROOT.name, "docs")],
    ids=lambda path: path.name,
)
def test_commands_name_no_folder_that_a_reader_lacks(document):
    """Data that are not part of the repository have a place in it that anybody can fill."""
    assert [call for call in calls(code(document.read_text(encoding="utf-8"))) if "../" in call] == []


def test_the_job_for_kubernetes_is_one() -> None:
    """The file is valid YAML, its command has the options it names, and all machines see the same data."""
    job = yaml.safe_load((ROOT / "docs/cluster/rayjob.yaml").read_text(encoding="utf-8"))
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups]
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()

    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert strays(job["spec"]["entrypoint"]) == []
    assert "--engine ray" in job["spec"]["entrypoint"]
    assert f"ray=={cluster['rayVersion']}" in pins
    assert [pod["volumes"] for pod in pods] == [pods[0]["volumes"]] * len(pods)
    assert {pod["containers"][0]["volumeMounts"][0]["mountPath"] for pod in pods} == {"/data"}


def test_the_job_for_slurm_is_one() -> None:
    """The shell reads the script, which asks for nodes, and its command has the options it names."""
    script = ROOT / "docs/cluster/autolabel.sbatch"
    text = script.read_text(encoding="utf-8")
    (call,) = calls(text)

    subprocess.run(["bash", "-n", script], check=True)
    assert re.findall(r"^#SBATCH --(nodes|cpus-per-task|time)=", text, re.MULTILINE) == [
        *("nodes", "cpus-per-task", "time")
    ]
    assert strays(call) == []
    assert "--engine ray" in call


def test_the_container_file_is_one() -> None:
    """It has instructions that there are, copies files that there are, and installs the pinned versions."""
    text = (ROOT / "docs/cluster/Containerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    steps = [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines if line]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    copied = [Path(source) for name, rest in steps if name == "COPY" for source in rest.split()[:-1]]
    (install,) = (rest for name, rest in steps if name == "RUN" and "pip install" in rest)

    assert {name for name, _ in steps} <= {"ARG", "CMD", "COPY", "ENV", "FROM", "RUN", "USER", "WORKDIR"}
    assert next(name for name, _ in steps if name != "ARG") == "FROM"
    for name, rest in steps:
        if name == "RUN":
            subprocess.run(["bash", "-n", "-c", rest], check=True)
    assert [path for path in copied if not (ROOT / path).exists()] == []
    assert {Path(project["readme"]), *map(Path, project["license-files"])} <= {*copied}
    assert "-c constraints.txt" in install
    assert {*re.findall(r"'\.\[([\w,]+)\]'", install)[0].split(",")} <= {*project["optional-dependencies"]}
    python = next(rest for name, rest in steps if name == "ARG" and rest.startswith("PYTHON="))
    assert f"Programming Language :: Python :: {python.removeprefix('PYTHON=')}" in project["classifiers"]


def test_images_of_containers_are_for_cpus_and_for_gpus() -> None:
    """The two commands at the top of the file set only arguments that it has."""
    text = (ROOT / "docs/cluster/Containerfile").read_text(encoding="utf-8")
    builds = re.findall(r"^#   (podman build .+)$", text, re.MULTILINE)
    chosen = [re.findall(r"--build-arg (\w+)=", build) for build in builds]

    assert chosen == [[], ["TORCH_INDEX"]]
    assert re.search(r"^ARG TORCH_INDEX=\S*/whl/cpu$", text, re.MULTILINE)
    assert all("-f docs/cluster/Containerfile" in build and build.endswith(" .") for build in builds)


def test_nobody_is_told_to_install_what_no_index_has():
    """Extras are installed from the repository: the package is not published."""
    texts = [*DOCUMENTS, *(path for ending in ("py", "toml") for path in (ROOT / "src").rglob(f"*.{ending}"))]

    assert [
        path for path in texts if re.search(r"install '?warprefine", path.read_text(encoding="utf-8"))
    ] == []


def test_readme_begins_with_the_two_commands():
    """The README tells a newcomer how to see it work and how to check it."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")

    assert {"make demo", "make test"} <= {call.partition("#")[0].strip() for call in calls(code(readme))}


def test_make_help_lists_every_target():
    """`make help` names every target that a user may call."""
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony is not None

    assert set(phony[1].split()) == set(re.findall(r"^([a-z-]+):.*## ", MAKEFILE, re.MULTILINE))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_python_in_the_documents_finds_what_it_imports(document):
    """Every block of Python compiles, and whatever it imports from this package is there."""
    for block in python_blocks(document.read_text(encoding="utf-8")):
        compile(block, document.name, "exec")
        for module, name in imported_names(block):
            if module.partition(".")[0] == "warprefine":
                assert not name or hasattr(importlib.import_module(module), name), f"{module}.{name}"


def test_readme_shows_python():
    """The README has at least one block of Python, so that the test above checks something."""
    assert "warprefine" in {
        module
        for block in python_blocks((ROOT / "README.md").read_text(encoding="utf-8"))
        for module, _ in imported_names(block)
    }


def test_every_document_is_in_the_navigation_of_the_site():
    """A page that was written can be found in the site, once, as can those at the root of the repository."""
    docs = {path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/**/*.md")}
    hooks = ast.parse((ROOT / "docs/hooks.py").read_text(encoding="utf-8"))
    (at_root,) = (
        ast.literal_eval(node.value)
        for node in hooks.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PAGES"
    )

    assert sorted(pages_of(SITE["nav"])) == sorted([*docs, *at_root.values()])
    assert [name for name in at_root if not (ROOT / name).is_file()] == []


def test_site_asks_nobody_else():
    """The site brings its own fonts and scripts, so that reading it is nobody else's business."""
    assert SITE["theme"]["font"] is False
    assert [*SITE.get("extra_javascript", []), *SITE.get("extra_css", [])] == []
    assert not {"repo_url", "google_analytics"} & SITE.keys()


def test_glossary_is_in_order():
    """The terms of the glossary come in the order of the alphabet, each once."""
    rows = (ROOT / "docs/glossary.md").read_text(encoding="utf-8").splitlines()
    cells = [row.split("|")[1:-1] for row in rows if row.startswith("| ")][1:]
    terms = [re.sub(r"^.*\((tau)\)$", r"\1", row[0].strip(" `")).lower() for row in cells]

    assert terms == sorted(set(terms))
    assert all(row[1].strip() for row in cells)
    assert {len(row) for row in cells} == {3}
