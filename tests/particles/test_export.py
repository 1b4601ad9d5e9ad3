"""Estimates written back and read again: the new values return, everything else is untouched."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.particles.cryosparc import read_cryosparc
from cryojax_het.particles.export import Estimates, export_particles, export_rows
from cryojax_het.particles.relion import read_relion
from cryojax_het.particles.stack import ReadOptions
from cryojax_het.particles.star import read_star


def _estimates(pixel_size: np.ndarray) -> Estimates:
    count = len(pixel_size)
    generator = np.random.default_rng(0)
    return Estimates(
        rotation=Rotation.random(count, rng=generator).as_matrix(),
        shift=generator.normal(0, 5, (count, 2)),
        pixel_size=pixel_size,
        half=generator.integers(1, 3, count),
        latent=generator.normal(0, 1, (count, 3)),
    )


_STARS = ["aspire/sample_particles_relion30", "aspire/sample_particles_relion31"]
_STARS += ["aspire/rln_proj_64_shifted", "aspire/rln_proj_65_centered", "drgnai/M_particles_sub10"]
_STARS += ["cryodrgn/relion31.6opticsgroups", "cryodrgn/relion31.v2", "cryodrgn/relion5"]
_STARS += ["cryodrgn/sta_testing_bin8", "cryodrgn/empiar_10076_7", "cryodrgn/toy_projections"]


@pytest.mark.parametrize("name", _STARS)
def test_star(data: Path, tmp_path: Path, name: str):
    original = data / "particles" / f"{name}.star"
    options = ReadOptions(pixel_size=1.7) if "rln_proj" in name or "toy" in name else ReadOptions()
    before = read_relion(original, options).table()
    rows = np.arange(len(before))[::-2]
    estimates = _estimates(before.pixel_size[rows])
    export_particles(tmp_path / "out.star", original, rows, estimates)
    after = read_relion(tmp_path / "out.star", options).table()
    np.testing.assert_allclose(after.rotation, estimates.rotation, atol=5e-8)
    np.testing.assert_allclose(after.shift, estimates.shift, atol=1e-7)
    np.testing.assert_array_equal(after.half, estimates.half)
    for column, values in before.take(rows).columns().items():
        if column not in ("rotation", "shift", "half", "size"):
            np.testing.assert_array_equal(getattr(after, column), values)
    _check_text(original, tmp_path / "out.star", rows, estimates)


def _check_text(original: Path, written: Path, rows, estimates: Estimates) -> None:
    old, new = read_star(original), read_star(written)
    assert old.keys() == new.keys()
    name = next(name for name, columns in old.items() if "rlnImageName" in columns)
    latents = [np.array(new[name].pop(f"cryojaxHetLatent{i}"), float) for i in (1, 2, 3)]
    np.testing.assert_allclose(np.stack(latents, 1), estimates.latent, rtol=1e-8)
    for label, column in old[name].items():
        if not label.startswith(("rlnAngle", "rlnOrigin", "rlnRandomSubset")):
            assert new[name][label] == [column[row] for row in rows]
    assert all(new[block] == old[block] for block in old if block != name)


def test_both_kinds_of_origin_agree(data: Path, tmp_path: Path):
    original = data / "particles" / "aspire" / "rln_proj_65_centered.star"
    estimates = Estimates(shift=np.ones((4, 2)), pixel_size=np.full(4, 2.0))
    export_particles(tmp_path / "out.star", original, np.arange(4), estimates)
    particles = read_star(tmp_path / "out.star")["particles"]
    assert particles["rlnOriginXAngst"] == ["-1"] * 4
    assert particles["rlnOriginX"] == ["-0.5"] * 4


_CS_FILES = ["cryosparc_P12_J24_001_particles", "cryosparc_J2_particles_exported"]
_CS_FILES += ["empiar_10076_7"]


@pytest.mark.parametrize("name", _CS_FILES)
def test_cs(data: Path, tmp_path: Path, name: str):
    original = data / "particles" / "cryodrgn" / f"{name}.cs"
    before = read_cryosparc(original).table()
    rows = np.arange(len(before))[::-2]
    estimates = _estimates(before.pixel_size[rows])
    export_particles(tmp_path / "out.cs", original, rows, estimates)
    after = read_cryosparc(tmp_path / "out.cs").table()
    np.testing.assert_allclose(after.rotation, estimates.rotation, atol=1e-6)
    np.testing.assert_allclose(after.shift, estimates.shift, atol=1e-5)
    np.testing.assert_array_equal(after.half, estimates.half)
    old, new = np.load(original), np.load(tmp_path / "out.cs")
    np.testing.assert_array_equal(new["uid"], old["uid"][rows])
    np.testing.assert_allclose(new["cryojax_het/latent_2"], estimates.latent[:, 1], rtol=1e-6)
    for column in set(old.dtype.names) - {f"alignments3D/{n}" for n in ("pose", "shift", "split")}:
        np.testing.assert_array_equal(new[column], old[column][rows])


@pytest.mark.parametrize("name", _CS_FILES)
def test_rows_of_cs_keep_every_byte(data: Path, tmp_path: Path, name: str):
    original = np.load(data / "particles" / "cryodrgn" / f"{name}.cs")
    rows = np.arange(len(original))[::-3]
    export_rows(tmp_path / "rows.cs", data / "particles" / "cryodrgn" / f"{name}.cs", rows)
    found = np.load(tmp_path / "rows.cs")
    assert found.dtype == original.dtype
    assert found.tobytes() == original[rows].tobytes()


def test_what_was_not_estimated_keeps_its_text(data: Path, tmp_path: Path):
    original = data / "particles" / "cryodrgn" / "relion31.star"
    rows = np.array([3, 1])
    export_particles(tmp_path / "out.star", original, rows, Estimates(latent=np.zeros((2, 1))))
    old, new = read_star(original)["particles"], read_star(tmp_path / "out.star")["particles"]
    assert new.pop("cryojaxHetLatent1") == ["0", "0"]
    assert new == {label: [column[row] for row in rows] for label, column in old.items()}


def test_misuse(data: Path, tmp_path: Path):
    folder = data / "particles" / "cryodrgn"
    rows = np.array([0])
    with pytest.raises(ValueError, match=r"must end as .*relion31\.star does"):
        export_particles(tmp_path / "out.cs", folder / "relion31.star", rows, Estimates())
    with pytest.raises(ValueError, match=r"only \.star and \.cs"):
        export_particles(tmp_path / "out.mrcs", folder / "hand.mrcs", rows, Estimates())
    no_size = Estimates(shift=np.zeros((1, 2)))
    with pytest.raises(ValueError, match="`pixel_size` is needed"):
        export_particles(tmp_path / "out.star", folder / "empiar_10076_7.star", rows, no_size)
    assert not list(tmp_path.iterdir())
