"""The shape of the repository: what is where, and that texts name only what exists."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from eatool.cli import COMMANDS, main

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "operator" / "eatool"
LONGEST_MODULE = 400
TOP_LEVEL = {
    ".ci", ".dockerignore", ".gitignore", "Dockerfile", "LICENSE", "Makefile", "README.md",
    "benchmarks", "charts", "crds", "docs", "examples", "operator", "pyproject.toml",
    "requirements", "tests", "tools",
}  # fmt: skip
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TARGETS = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def blocks(text: str) -> Iterator[str]:
    """Code of a Markdown text, in fences and inline: the rest is prose."""
    yield from re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", text)


def commands(text: str, program: str) -> set[str]:
    """First arguments of a program wherever a line of code begins with it."""
    pattern = rf"^\s*(?:\$ )?(?:\.venv/bin/)?{program} ([a-z][a-z-]*)"
    return {name for code in blocks(text) for name in re.findall(pattern, code, re.MULTILINE)}


def test_operator_is_no_package() -> None:
    # `operator` is a module of the standard library; with this file ours would hide it.
    assert not (ROOT / "operator" / "__init__.py").exists()


@pytest.mark.parametrize(
    ("rule", "side", "but"),
    [
        ("Only kube knows kopf", "source_modules", "eatool.kube"),
        ("Consumers need nothing of the registry", "forbidden_modules", "eatool.consuming"),
    ],
)
def test_a_rule_for_everybody_forgets_nobody(rule: str, side: str, but: str) -> None:
    # What is not listed may import what it likes, and the linter is none the wiser.
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (found,) = (each for each in settings["contracts"] if each["name"] == rule)
    everything = {
        f"eatool.{path.stem}"
        for path in PACKAGE.iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").exists()) and path.stem[0] != "_"
    }
    assert {name for name in found[side] if name.startswith("eatool.")} == everything - {but}


def test_nothing_unknown_lies_at_the_top() -> None:
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if tracked.returncode != 0:
        pytest.skip("NOT RUN: not a git clone, so nobody knows which files belong to it")
    assert {line.split("/")[0] for line in tracked.stdout.splitlines()} <= TOP_LEVEL


@pytest.mark.parametrize(
    "module", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE))
)
def test_a_module_is_one_idea(module: Path) -> None:
    assert len(module.read_text().splitlines()) <= LONGEST_MODULE


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.name)
def test_texts_name_commands_that_exist(text: Path) -> None:
    content = text.read_text()
    assert commands(content, "make") <= TARGETS
    assert commands(content, "eatool") <= set(COMMANDS)


@pytest.mark.parametrize("text", TEXTS, ids=lambda path: path.name)
def test_texts_link_to_files_that_exist(text: Path) -> None:
    content = text.read_text()
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)|(?:src|srcset|href)=\"([^\"#]+)\"", content)
    local = {a or b for a, b in links if not (a or b).startswith(("http:", "https:"))}
    assert {link for link in local if not (text.parent / link).exists()} == set()


def test_the_index_names_every_page() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    pages = {page.name for page in TEXTS if page.parent.name == "docs"} - {"README.md"}
    assert {page for page in pages if f"({page})" not in index} == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_loads_and_explains_itself(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert command.name == name
    assert command.help
    assert CliRunner().invoke(main, [name, "--help"]).exit_code == 0


def test_help_loads_no_library_of_a_command() -> None:
    program = (
        "import sys, eatool.cli\n"
        "eatool.cli.main(['--help'], standalone_mode=False)\n"
        "print(sorted({'kopf', 'kubernetes', 'pydantic', 'sqlalchemy', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert all(name in done.stdout for name in COMMANDS)


def test_an_unknown_command_is_refused() -> None:
    result = CliRunner().invoke(main, ["frobnicate"])
    assert result.exit_code == 2
    assert "No such command" in result.output


@pytest.mark.parametrize(
    ("script", "complaint"),
    [
        ("[ $1 = -V ] && echo Python 3.9.2; exit 1", "is 3.9.2"),
        ("case $2 in *ensurepip*) exit 1;; esac", "virtual environments"),
    ],
)
def test_a_python_that_cannot_do_is_named(tmp_path: Path, script: str, complaint: str) -> None:
    python = tmp_path / "python3"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", ROOT / "tools" / "venv", python, tmp_path / "marker"],
        env={"PATH": f"{tmp_path}:{_tools_only(tmp_path)}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert complaint in done.stderr
    assert not (tmp_path / "marker").exists()


def _tools_only(directory: Path) -> Path:
    """A PATH without apt-get: nothing may be installed by a test."""
    tools = directory / "tools"
    tools.mkdir()
    for name in ("bash", "dirname", "env", "cut"):
        for place in ("/usr/bin", "/bin"):
            if (Path(place) / name).exists() and not (tools / name).exists():
                (tools / name).symlink_to(Path(place) / name)
    return tools
