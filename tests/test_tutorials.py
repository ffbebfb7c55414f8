"""The notebooks of docs/tutorials run, at a small size; what is stored in them was computed by the code that they show.

`python tests/test_tutorials.py [NAME ...]` runs notebooks at their full size and stores their outputs.
"""

import hashlib
import json
import os
import sys
from pathlib import Path

import pytest
import torch

TUTORIALS = Path(__file__).resolve().parent.parent / "docs" / "tutorials"
#: Values of the cell of parameters, with which a notebook takes some seconds.
SMALL = {
    "explore_a_corpus": {"N_SENTENCES": 300, "N_SYMBOLS": 4, "STEPS": 60},
    "few_labels": {"N_TEXTS": 300, "N_LABELLED": 5, "STEPS": 40},
    "sample_a_prior": {"N_CHAINS": 1000},
    "study_the_energy": {"STEPS": 300, "N_SAMPLES": 500},
}
notebooks = pytest.mark.parametrize("name", SMALL)


def read(name):
    return json.loads((TUTORIALS / f"{name}.ipynb").read_text(encoding="utf-8"))


def code_cells(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def source_of(cell):
    return "".join(cell["source"])


def is_parameters(cell):
    return "parameters" in cell["metadata"].get("tags", [])


def digest(notebook):
    """Hash of the code, by which a notebook that was edited and not run again is noticed."""
    return hashlib.sha256("\n".join(map(source_of, code_cells(notebook))).encode()).hexdigest()[:16]


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Runs the cells of a notebook in this process; returns its names and what it printed."""
    pyplot = pytest.importorskip("matplotlib.pyplot", reason='needs pip install ".[plots]"')
    monkeypatch.setattr(pyplot, "show", lambda: None)
    pyplot.switch_backend("agg")
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()

    def start(name, **parameters):
        names = {"__name__": "__main__"}
        for cell in code_cells(read(name)):
            exec(compile(source_of(cell), f"{name}.ipynb", "exec"), names)
            if is_parameters(cell):
                assert set(parameters) <= set(names)
                names |= parameters
        return names, capsys.readouterr().out

    yield start
    pyplot.close("all")
    torch.set_num_threads(threads)
    assert list(tmp_path.iterdir()) == [], "a notebook left files in the working folder"


def test_no_notebook_is_left_out():
    assert {path.stem for path in TUTORIALS.glob("*.ipynb")} == set(SMALL)


@notebooks
def test_stored_outputs_are_those_of_the_code(name):
    notebook = read(name)
    assert notebook["metadata"]["svebm"]["code_sha256"] == digest(notebook), "run `python tests/test_tutorials.py`"
    cells = code_cells(notebook)
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        assert all(output["output_type"] != "error" for output in cell["outputs"])
        assert all(output.get("name") != "stderr" for output in cell["outputs"])
        if "print(" in source_of(cell):
            assert cell["outputs"], source_of(cell)
        if "plt.show()" in source_of(cell):
            assert any("image/png" in output.get("data", {}) for output in cell["outputs"]), source_of(cell)


@notebooks
def test_stored_outputs_tell_nothing_of_a_machine(name):
    text = json.dumps([cell["outputs"] for cell in code_cells(read(name))])
    assert "/tmp" not in text and "/home" not in text and "/root" not in text


def test_explore_a_corpus(run):
    names, printed = run("explore_a_corpus", **SMALL["explore_a_corpus"])
    assert printed.count("symbol ") == 4 + 3
    assert int(names["symbols"].bincount().sum()) == len(names["corpus"].test) == 30
    assert names["agreement"].homogeneity > names["agreement"].chance_homogeneity


def test_few_labels(run):
    names, _ = run("few_labels", **SMALL["few_labels"])
    assert len(names["labelled"]) == 30 and len(names["model"].label_names) == 6
    assert min(names["accuracy"].values()) > 2 / 6


def test_sample_a_prior(run):
    names, _ = run("sample_a_prior", **SMALL["sample_a_prior"])
    assert abs(float(names["values"].mean()) - names["mean_energy"]) < 5 * names["error"]
    estimate = names["estimate"]
    assert abs(estimate.lower - names["log_z"]) < 5 * estimate.lower_standard_error
    assert abs(estimate.upper - names["log_z"]) < 5 * estimate.upper_standard_error
    assert names["short"] > 1.1 > names["long"]


def test_study_the_energy(run):
    names, _ = run("study_the_energy", **SMALL["study_the_energy"])
    coverage = names["coverage"]
    assert coverage["learnt prior"].share_at_modes > coverage["N(0, I)"].share_at_modes
    assert int(names["table"].sum()) == 500 and names["purity"] > 2 / 8


def is_progress(output):
    """Messages of a training, which are for the one who waits."""
    return output.get("name") == "stderr" or ("text/html" in output.get("data", {}))


def execute(name):
    """Run a notebook in a kernel of its own, and store what it showed."""
    import nbformat
    from nbclient import NotebookClient

    path = TUTORIALS / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TUTORIALS.parent.parent), os.environ.get("PYTHONPATH", "")])
    NotebookClient(notebook, timeout=1800, kernel_name="python3", coalesce_streams=True).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not is_progress(output)]
    notebook.metadata["language_info"] = {"name": "python"}
    notebook.metadata["svebm"] = {"code_sha256": digest(notebook)}
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for chosen in sys.argv[1:] or SMALL:
        execute(chosen)
