"""Execute the notebooks in a temporary folder, and fail if a cell fails or a notebook in git has outputs."""

import sys
import tempfile
from pathlib import Path

import click
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


def execute(path: Path) -> None:
    """Execute one notebook. Raises CellExecutionError for a cell that fails."""
    notebook = nbformat.read(path, as_version=4)
    if any(cell.get("outputs") or cell.get("execution_count") for cell in notebook.cells):
        sys.exit(f"{path.name} has outputs; clear them before you commit it")
    with tempfile.TemporaryDirectory(prefix="infgen-") as folder:
        # HTML pictures of all cells are kept in memory only.
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": folder}}).execute()
    click.echo(f"{path.name}: {sum(cell.cell_type == 'code' for cell in notebook.cells)} cells executed")


if __name__ == "__main__":
    for notebook_file in sorted(FOLDER.glob("*.ipynb")):
        execute(notebook_file)
