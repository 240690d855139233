"""``eatool crds``: write what derives from the kinds, or check that it is up to date."""

from __future__ import annotations

from pathlib import Path

import click

from eatool.domain.kinds import KINDS
from eatool.kube.schema.artifacts import (
    crd_files,
    differences,
    first_examples,
    reference_files,
    write,
)

_DIRECTORY = click.Path(file_okay=False, path_type=Path)


@click.command("crds")
@click.option("--check", is_flag=True, help="Write nothing; fail if a file is not as generated.")
@click.option("--output-dir", type=_DIRECTORY, default="crds", show_default=True)
@click.option("--docs-dir", type=_DIRECTORY, default="docs/reference", show_default=True)
@click.option(
    "--examples-dir",
    "examples_dirs",
    type=_DIRECTORY,
    multiple=True,
    default=("examples/landscape", "examples/platform"),
    show_default=True,
    help="Manifests to quote in the reference; may be given several times.",
)
def crds(*, check: bool, output_dir: Path, docs_dir: Path, examples_dirs: tuple[Path, ...]) -> None:
    """Generate CRDs, the admission policy and the reference from the kinds."""
    kinds = tuple(KINDS.values())
    targets = {
        output_dir: crd_files(kinds),
        docs_dir: reference_files(kinds, first_examples(examples_dirs)),
    }
    if not check:
        for directory, files in targets.items():
            write(files, directory)
            click.echo(f"{len(files)} files in {directory}")
        return
    complaints = [
        complaint
        for directory, files in targets.items()
        for complaint in differences(files, directory)
    ]
    if complaints:
        raise click.ClickException(
            "\n".join((*complaints, f"{len(complaints)} files differ; run `eatool crds`"))
        )
    click.echo("generated files are up to date")
