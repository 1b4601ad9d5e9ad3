"""`cryojax-het validate` as a user meets it: scores, comparisons, and inputs that do not fit."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from cryojax_het.analysis.baselines import consensus, state_sums
from cryojax_het.analysis.outputs import open_outputs
from cryojax_het.cli import main
from cryojax_het.particles.mrc import MrcVolume, write_volume
from cryojax_het.particles.open import open_particles
from cryojax_het.simulate.settings import Simulation
from cryojax_het.simulate.simulate import run_simulation
from cryojax_het.simulate.truth import open_truth

COUNT = 120
LABELS = 10


@pytest.fixture(scope="module")
def truth(tmp_path_factory):
    """120 images of the hinged molecule, 24 pixels of 9 Å."""
    folder = tmp_path_factory.mktemp("sim")
    settings = Simulation(
        output=folder, count=COUNT, size=24, pixel_size=9.0, hinge=(-60.0, 60.0), snr=0.5
    )
    return open_truth(run_simulation(settings).truth)


@pytest.fixture
def run(truth, tmp_path):
    """A plain folder: the true angle with noise in two dimensions, and the maps of nine states."""
    return method(truth, tmp_path / "method")


def method(truth, folder, slope=1.0):
    """Results of a method whose latent is the true angle times `slope`."""
    (folder / "maps").mkdir(parents=True)
    rng = np.random.default_rng(0)
    angle = slope * truth.images.conformation[:, 0]
    noise = 0.05 * rng.normal(size=(COUNT, 2))
    np.save(folder / "latents.npy", np.stack([np.cos(angle), np.sin(angle)], axis=1) + noise)
    np.save(folder / "latents_covariance.npy", np.tile(0.05**2 * np.eye(2), (COUNT, 1, 1)))
    states = np.arange(2, 100, 12)
    middle = slope * truth.states.conformation[states, 0]
    points = np.stack([np.cos(middle), np.sin(middle)], axis=1)
    np.save(folder / "maps" / "latents.npy", points)
    for number, state in enumerate(states.tolist()):
        write_map(folder / "maps" / f"latent_{number:03d}.mrc", truth, truth.map(state))
    return folder


def write_map(path, truth, volume):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_volume(path, MrcVolume(np.asarray(volume, np.float32), (truth.pixel_size,) * 3))


def scores(folder):
    return json.loads((folder / "scores.json").read_text())


def test_a_method_is_scored_in_full(truth, run, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["validate", str(run), "--truth", str(truth.path.parent), "-o", str(out)]) == 0
    printed = capsys.readouterr().out
    found = scores(out)
    assert found["headline"]["mask"] == "moving region"
    assert found["headline"]["gap_closed"] > 0.5
    assert found["headline"]["value"] == found["maps"]["moving region"]["method"]["median"]
    assert f"gap closed {found['headline']['gap_closed']:.0%}" in printed
    assert len(found["states"]["state"]) == len(found["states"]["resolution"])
    assert found["latents"]["hinge: rank correlation"]["value"] > 0.9
    assert set(found["leaks"]) == {"viewing direction", "defocus"}
    assert len(found["populations"]["recovered"]) == 100
    assert [row["level"] for row in found["calibration"]] == [0.5, 0.9]
    assert found["dataset"]["images"] == COUNT
    assert "spread" not in found
    for name in ("fsc.png", "states.png", "latents.png", "populations.png"):
        assert name in found["figures"]
        assert (out / name).stat().st_size > 5000
    # Beside the truth, for the next method.
    assert (truth.path.parent / "references.h5").is_file()


def test_a_consensus_closes_no_gap(truth, tmp_path):
    run, line = tmp_path / "run", ["--truth", str(truth.path), "--images", "50"]
    sums = state_sums(open_particles(truth.particles), truth)
    write_map(run / "volumes" / "mean.mrc", truth, consensus(sums))
    # The truth's own particles, told: their references are used again.
    assert main(["validate", str(run), *line, "--particles", str(truth.particles)]) == 0
    found = scores(run / "validation")
    assert found["headline"]["gap_closed"] == 0
    assert found["maps"]["molecule"]["method"]["images"] == 50
    assert not {"latents", "leaks", "populations", "calibration", "labels"} & set(found)
    assert found["figures"] == ["fsc.png", "states.png"]


def test_maps_are_scored_on_given_rows_alone(truth, run, tmp_path):
    line, rows = ["--truth", str(truth.path)], np.arange(3, 100, 7)
    (tmp_path / "rows.txt").write_text("".join(f"{row}\n" for row in rows))
    line += ["--rows", str(tmp_path / "rows.txt")]
    assert main(["validate", str(run), *line, "-o", str(tmp_path / "all")]) == 0
    # As of a method that made maps of these images and no others.
    maps = open_outputs(run, COUNT).maps(COUNT, truth.size, truth.pixel_size)
    for row in rows:
        write_map(
            tmp_path / f"few/particle_{row:06d}.mrc", truth, maps.map(int(maps.of_image[row]))
        )
    line = ["--truth", str(truth.path), "--maps", str(tmp_path / "few")]
    assert main(["validate", str(run), *line, "-o", str(tmp_path / "own")]) == 0
    given, own = scores(tmp_path / "all"), scores(tmp_path / "own")
    assert given["maps"]["molecule"]["method"]["images"] == len(rows)
    assert (given["maps"], given["states"]) == (own["maps"], own["states"])


def test_labels_alone(truth, tmp_path):
    np.save(tmp_path / "labels.npy", truth.images.state // LABELS)
    for number in range(100 // LABELS):
        state = number * LABELS + LABELS // 2
        write_map(tmp_path / f"class_{number:03d}.mrc", truth, truth.map(state))
    assert main(["validate", str(tmp_path), "--truth", str(truth.path)]) == 0
    found = scores(tmp_path / "validation")
    assert found["headline"]["gap_closed"] > 0.5
    assert found["latents"]["hinge: rank correlation"]["value"] > 0.9
    # The truth has no classes to hold them against.
    assert "labels" not in found


def test_two_methods_without_truth(truth, run, tmp_path, capsys):
    # The same motion, run around a circle at another pace and in the other direction.
    other = method(truth, tmp_path / "other", slope=-0.7)
    out = tmp_path / "out"
    assert main(["validate", str(run), "--against", str(other), "-o", str(out)]) == 0
    found = scores(out)
    agreement = found["agreement"]
    assert agreement["deviations of maps, by image"]["share"] > 0.6
    assert agreement["deviations of maps, as sets"]["share"] > 0.9
    assert agreement["latents: first read out of second"]["value"] > 0.8
    assert found["figures"] == ["agreement.png", "agreement_fsc.png"]
    assert found["agreement_of_maps"]["pixel_size"] == pytest.approx(9.0)
    assert "headline" not in found
    assert "agreement of the two" in capsys.readouterr().out
    # With the truth: its mask, and the scores of the first as well.
    line = ["validate", str(run), "--against", str(other), "--truth", str(truth.path)]
    assert main([*line, "-o", str(out)]) == 0
    both = scores(out)
    assert {"agreement", "headline", "latents"} <= set(both)
    both, alone = (s["agreement"]["latents: linear correlation"] for s in (both, found))
    assert both == alone


def broken(truth, run, tmp_path, name):
    """Arguments of a call that cannot work, and what its message must say."""
    line = [str(run), "--truth", str(truth.path)]
    if name == "no truth":
        return [str(run), "--truth", str(tmp_path / "no")], (str(tmp_path / "no"), "simulate")
    if name == "nothing to score against":
        return [str(run)], ("--truth", "--against")
    if name == "rows":
        np.save(run / "latents.npy", np.zeros((COUNT - 1, 2)))
        return line, (f"latents of {run}", f"{COUNT - 1} rows", f"{COUNT} images")
    if name == "empty":
        (tmp_path / "empty").mkdir()
        return [str(tmp_path / "empty"), *line[1:]], ("nothing to score", "latents.npy")
    if name == "no run":
        return [str(tmp_path / "no"), *line[1:]], (f"{tmp_path / 'no'} is no folder", "latents.npy")
    if name == "untied maps":
        (run / "maps" / "latents.npy").unlink()
        return line, (str(run / "maps"), "labels.npy")
    if name == "particles":
        return [*line, "--particles", str(tmp_path / "p.star")], ("p.star", "does not exist")
    if name == "output":
        (tmp_path / "file").write_text("")
        return [*line, "-o", str(tmp_path / "file")], (str(tmp_path / "file"), "`-o`")
    if name == "rows of no image":
        (tmp_path / "rows.txt").write_text("3\n120\n")
        return [*line, "--rows", str(tmp_path / "rows.txt")], ("no row 120", "0 to 119")
    if name == "rows without maps":
        shutil.rmtree(run / "maps")
        (tmp_path / "rows.txt").write_text("3\n")
        return [*line, "--rows", str(tmp_path / "rows.txt")], ("`--rows`", f"{run} has none")
    if name == "too few images":
        return [*line, "--images", "2"], ("`--images` must be 10 or more",)
    (tmp_path / "labels").mkdir()
    np.save(tmp_path / "labels" / "labels.npy", np.zeros(COUNT, int))
    (run / "maps").rename(run / "elsewhere")
    for path in run.glob("latents*.npy"):
        path.unlink()
    np.save(run / "latents.npy", np.zeros((COUNT, 0)))
    return [str(run), "--against", str(tmp_path / "labels")], ("nothing to compare",)


FAULTS = ["no truth", "nothing to score against", "rows", "empty", "no run", "untied maps"]
FAULTS += ["particles", "output", "rows of no image", "rows without maps", "too few images"]
FAULTS += ["nothing in common"]


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_told_and_leave_nothing(truth, run, tmp_path, capsys, fault):
    arguments, words = broken(truth, run, tmp_path, fault)
    before = sorted(tmp_path.rglob("*"))
    assert main(["validate", *arguments]) == 2
    message = capsys.readouterr().err
    assert "cryojax-het: error:" in message
    for word in words:
        assert word in message
    assert sorted(tmp_path.rglob("*")) == before


def test_calibration_that_cannot_be_tested_is_left_out(truth, run, tmp_path, capsys):
    covariance = np.load(run / "latents_covariance.npy")
    covariance[3] = 0
    np.save(run / "latents_covariance.npy", covariance)
    assert main(["validate", str(run), "--truth", str(truth.path)]) == 0
    assert "Calibration is not scored" in capsys.readouterr().err
    assert "calibration" not in scores(run / "validation")


def test_without_matplotlib_there_are_scores(truth, run, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert main(["validate", str(run), "--against", str(run)]) == 0
    assert "cryojax_het[viz]" in capsys.readouterr().err
    assert scores(run / "validation")["figures"] == []
    assert sorted(p.name for p in (run / "validation").iterdir()) == ["scores.json"]


def test_help_imports_no_jax():
    code = (
        "import sys\nfrom cryojax_het.cli import main\n"
        "try: main(['validate', '--help'])\nexcept SystemExit: pass\n"
        "assert not {'jax', 'flax', 'matplotlib', 'h5py'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
