"""A table written from scratch reads back as it was."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.particles.cryosparc import read_cryosparc
from cryojax_het.particles.new_star import new_star
from cryojax_het.particles.relion import read_relion
from cryojax_het.particles.source import Particles, make_particles
from cryojax_het.particles.star import read_star


def _table(count: int = 6) -> Particles:
    generator = np.random.default_rng(0)
    group = np.arange(count) % 2
    return make_particles(
        count,
        rotation=Rotation.random(count, rng=generator).as_matrix(),
        shift=generator.normal(0, 3, (count, 2)),
        defocus_u=generator.uniform(1e4, 2e4, count),
        defocus_v=generator.uniform(1e4, 2e4, count),
        astigmatism_angle=generator.uniform(-1, 1, count),
        voltage=np.where(group, 200.0, 300.0),
        spherical_aberration=2.7,
        amplitude_contrast=0.1,
        phase_shift=generator.uniform(0, 1, count),
        b_factor=generator.uniform(0, 100, count),
        scale=generator.uniform(0.5, 1, count),
        beam_tilt=np.array([1e-3, -2e-3]) * group[:, None],
        magnification=np.eye(2) + 0.01 * group[:, None, None],
        group=group,
        group_names=("krios", "polara"),
        half=generator.integers(1, 3, count),
        pixel_size=np.where(group, 1.5, 1.25),
        size=np.where(group, 8, 10),
    )


def test_round_trip(tmp_path: Path):
    table = _table()
    names = [f"{i + 1}@a.mrcs" for i in range(6)]
    new_star(tmp_path / "a.star", table, names, {"cryojaxHetLatent1": np.arange(6.0)})
    again = read_relion(tmp_path / "a.star").table()
    assert again.columns().keys() == table.columns().keys()
    for name, column in table.columns().items():
        np.testing.assert_allclose(again.columns()[name], column, rtol=2e-8, atol=5e-8)
    assert again.group_names == table.group_names
    assert again.warnings == ()
    particles = read_star(tmp_path / "a.star")["particles"]
    assert particles["rlnImageName"] == names
    assert particles["cryojaxHetLatent1"] == ["0", "1", "2", "3", "4", "5"]


def test_a_cryosparc_table_as_star(data: Path, tmp_path: Path):
    source = read_cryosparc(data / "particles" / "cryodrgn" / "cryosparc_P12_J24_001_particles.cs")
    rows, table = source.stacks.rows, source.table()
    pairs = zip(rows.image, rows.file, strict=True)
    new_star(tmp_path / "a.star", table, [f"{i + 1}@{rows.names[f]}" for i, f in pairs])
    again = read_relion(tmp_path / "a.star")
    np.testing.assert_allclose(again.table().rotation, table.rotation, atol=5e-8)
    np.testing.assert_allclose(again.table().shift, table.shift, atol=1e-6)
    np.testing.assert_array_equal(again.stacks.rows.image, rows.image)
    assert again.stacks.rows.names == rows.names


def test_what_relion_keeps_per_group_must_not_vary_within_one(tmp_path: Path):
    voltage = np.array([300.0, 200, 300, 250, 300, 200])
    with pytest.raises(ValueError, match="Row 4 has rlnVoltage"):
        new_star(tmp_path / "a.star", replace(_table(), voltage=voltage), ["1@a.mrcs"] * 6)
    assert not list(tmp_path.iterdir())
