"""`select` from a run folder to particle files that others read, and every fault."""

import json

import numpy as np
import pytest
from gemmi import cif

from cryojax_het.cli import main
from cryojax_het.results.run import RunRecord, open_run

COUNT = 60

OPTICS = """# version 30001
data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnImagePixelSize #3
_rlnImageSize #4
_rlnVoltage #5
_rlnSphericalAberration #6
_rlnAmplitudeContrast #7
1 first 1.234567 64 300 2.7 0.1
2 second 1.234567 64 200 2.0 0.07

"""
LABELS = ["rlnImageName", "rlnOpticsGroup", "rlnDefocusU", "rlnAngleRot", "someLab"]


def write_star(path, rng):
    heads = "".join(f"_{name} #{i}\n" for i, name in enumerate(LABELS, 1))
    rows = [
        f"{i + 1:06d}@job/stack.mrcs {1 + i // 50} {rng.uniform(1e4, 2e4):.6f} {i}.250000 x{i}"
        for i in range(COUNT)
    ]
    body = "\n".join(["data_particles", "", "loop_"]) + "\n" + heads + "\n".join(rows) + "\n\n"
    path.write_text(OPTICS + body)
    return path


def write_cs(path, rng):
    kinds = [("uid", "<u8"), ("blob/path", "S30"), ("blob/idx", "<u4"), ("blob/psize_A", "<f4")]
    kinds += [("ctf/exp_group_id", "<u4"), ("alignments3D/pose", "<f4", (3,))]
    table = np.zeros(COUNT, kinds)
    table["uid"] = rng.integers(2**63, 2**64 - 1, COUNT, np.uint64)
    table["blob/path"], table["blob/idx"] = b">J3/stack.mrcs", np.arange(COUNT)
    table["blob/psize_A"] = 1.234567
    table["ctf/exp_group_id"] = 1 + np.arange(COUNT) // 50
    table["alignments3D/pose"] = rng.normal(size=(COUNT, 3))
    with open(path, "wb") as file:
        np.save(file, table)
    return path


@pytest.fixture(params=["star", "cs"])
def run(request, tmp_path):
    """A run of 60 images with its analysis: labels, an embedding, scores."""
    rng = np.random.default_rng(0)
    write = {"star": write_star, "cs": write_cs}[request.param]
    particles = write(tmp_path / f"particles.{request.param}", rng)
    config = {"particles": str(particles), "volume": "linear"}
    folder = tmp_path / "run"
    record = RunRecord(command=["cryojax-het", "fit"], seed=0, inputs=[particles])
    made = open_run(folder, config, record)
    made.latents().create("conformation", (COUNT, 3))
    latent = rng.normal(size=(COUNT, 3)).astype(np.float32)
    made.latents().write("conformation", np.arange(COUNT), latent)
    made.finish()
    analysis = folder / "analysis"
    for name in ("clusters", "embeddings"):
        (analysis / name).mkdir(parents=True)
    np.save(analysis / "clusters" / "labels.npy", np.arange(COUNT) % 5 - 1)
    plane = rng.normal(size=(COUNT, 2))
    plane[7] = np.nan
    np.save(analysis / "embeddings" / "umap.npy", plane)
    lines = [f"{i},{i % 2},{i / 10:g}" for i in range(COUNT)]
    (analysis / "image_scores.csv").write_text("\n".join(["row,flagged,junk", *lines]) + "\n")
    return folder


def selected(run, *options):
    """Rows that `select` writes, found by an independent reading of both files."""
    original = next(run.parent.glob("particles.*"))
    output = run.parent / f"subset{original.suffix}"
    assert main(["select", str(run), "-o", str(output), *map(str, options)]) == 0
    if original.suffix == ".cs":
        whole, part = np.load(original), np.load(output)
        rows = np.flatnonzero(np.isin(whole["uid"], part["uid"]))
        assert part.dtype == whole.dtype
        assert part.tobytes() == whole[rows].tobytes()
        return rows
    whole, part = cif.read_file(str(original)), cif.read_file(str(output))
    tables = [
        [list(row) for row in d["particles"].find([f"_{n}" for n in LABELS])] for d in (whole, part)
    ]
    rows = np.array([tables[0].index(row) for row in tables[1]])
    assert (np.diff(rows) > 0).all()
    before = output.read_text().split("data_particles")[0]
    assert before == original.read_text().split("data_particles")[0]  # all optics groups
    return rows


def latent_of(run):
    return np.load(run / "latents" / "conformation.npy")


def test_each_condition(run):
    z, labels = latent_of(run), np.arange(COUNT) % 5 - 1
    np.testing.assert_array_equal(
        selected(run, "--cluster", 0, 3), np.flatnonzero((labels == 0) | (labels == 3))
    )
    inside = (z[:, 0] >= -0.5) & (z[:, 0] <= 0.5) & (z[:, 2] >= -0.25) & (z[:, 2] <= 9)
    boxes = ["--box", 1, -0.5, 0.5, "--box", 3, -0.25, 9]
    np.testing.assert_array_equal(selected(run, *boxes), np.flatnonzero(inside))
    np.testing.assert_array_equal(selected(run, "--score", "junk", 1, 2), np.arange(10, 21))
    dense, rare = selected(run, "--density-above", 0.5), selected(run, "--density-below", 0.5)
    np.testing.assert_array_equal(np.sort([*dense, *rare]), np.arange(COUNT))
    assert np.linalg.norm(z[rare], axis=1).mean() > np.linalg.norm(z[dense], axis=1).mean()


def test_conditions_hold_together_and_inverted(run):
    (run / "picked.txt").write_text("# of the page\n4\n9\n\n14\n20\n")
    line = ["--rows", run / "picked.txt", "--score", "flagged", 0, 0]
    np.testing.assert_array_equal(selected(run, *line), [4, 14, 20])
    rest = np.setdiff1d(np.arange(COUNT), [4, 14, 20])
    np.testing.assert_array_equal(selected(run, *line, "--invert-selection"), rest)


@pytest.mark.parametrize("name", ["lasso.json", "lasso.csv"])
def test_a_lasso_on_an_embedding_and_on_latents(run, name):
    path = run / name
    corners = [[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]]
    text = "x,y\n" + "\n".join(f"{x},{y}" for x, y in corners)
    path.write_text(json.dumps(corners) if name.endswith("json") else text)
    plane = np.load(run / "analysis" / "embeddings" / "umap.npy")
    inside = np.flatnonzero((np.abs(plane) < 1).all(axis=1))
    np.testing.assert_array_equal(selected(run, "--lasso", path, "--embedding", "umap"), inside)
    inside = np.flatnonzero((np.abs(latent_of(run)[:, [2, 0]]) < 1).all(axis=1))
    np.testing.assert_array_equal(selected(run, "--lasso", path, "--axes", 3, 1), inside)


def test_row_numbers_to_a_text(run, capsys):
    output = run.parent / "rows.txt"
    assert main(["select", str(run), "-o", str(output), "--score", "junk", "0", "0.35"]) == 0
    assert output.read_text() == "0\n1\n2\n3\n"
    assert "4 of 60 images" in capsys.readouterr().out
    np.testing.assert_array_equal(selected(run, "--rows", output), np.arange(4))


def test_faults(run, capsys, tmp_path):
    original = next(run.parent.glob("particles.*"))
    output = tmp_path / f"out{original.suffix}"

    def said(*options, to=output):
        assert main(["select", str(run), "-o", str(to), *map(str, options)]) == 2
        assert not output.exists()
        return capsys.readouterr().err

    assert "Say which images" in said()
    nothing = said("--cluster", 1, "--box", 1, 50, 60)
    assert "No image of 60" in nothing
    assert "cluster 1: 12 images" in nothing
    assert "z1 in 50 to 60: 0 images" in nothing
    assert "no cluster 9" in said("--cluster", 9)
    assert "from 1 to 3" in said("--box", 4, 0, 1)
    assert "Columns: row, flagged, junk" in said("--score", "nonsense", 0, 1)
    (tmp_path / "p.json").write_text("[[0, 1], [1]]")
    assert "is no polygon" in said("--lasso", tmp_path / "p.json")
    (tmp_path / "q.json").write_text("[[0, 0], [1, 0], [1, 1]]")
    gone = said("--lasso", tmp_path / "q.json", "--embedding", "tsne")
    assert "Embeddings of this run: umap" in gone
    assert "give it by `--lasso`" in said("--embedding", "umap", "--cluster", 0)
    (tmp_path / "rows.txt").write_text("3\nfour\n")
    assert "'four'" in said("--rows", tmp_path / "rows.txt")
    other = {".star": ".cs", ".cs": ".star"}[original.suffix]
    assert "must end as" in said("--cluster", 0, to=tmp_path / f"out{other}")
    assert "is the particle file of the run" in said("--cluster", 0, to=original)
    (run / "analysis" / "image_scores.csv").unlink()
    assert "cryojax-het analyse" in said("--score", "junk", 0, 1)
