"""Files that RELION, Warp and cryoDRGN wrote."""

from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryojax_het.particles.pickles import load_arrays
from cryojax_het.particles.relion import ReadOptions, read_relion


def test_a_model_file_is_no_particle_table(data: Path):
    with pytest.raises(ValueError, match="no table of particles"):
        read_relion(data / "particles" / "aspire" / "sample_data_model.star")


def test_rotations_and_shifts_are_cryodrgns(data: Path):
    """Its `parse_pose_star` made these pickles; shifts there are fractions of the box."""
    folder = data / "particles" / "cryodrgn"
    table = read_relion(
        folder / "FinalRefinement-OriginalParticles-PfCRT.star", ReadOptions(amplitude_contrast=0.1)
    ).table()
    rotation, fraction = load_arrays(folder / "pose.star.pkl")
    np.testing.assert_allclose(table.rotation, rotation, atol=1e-12)
    box = 300 * table.pixel_size[:, None]
    np.testing.assert_allclose(table.shift, -fraction * box, atol=1e-5)
    rotation, _ = load_arrays(folder / "sta_pose.pkl")
    table = read_relion(folder / "sta_testing_bin8.star").table()
    np.testing.assert_allclose(table.rotation, rotation, atol=1e-12)


def test_warp_tilts_in_a_data_dir(data: Path):
    folder = data / "particles" / "drgnai"
    options = ReadOptions(data_dir=folder / "tilts")
    with pytest.warns(UserWarning, match="11029"):
        source = read_relion(folder / "M_particles_sub10.star", options)
    with pytest.warns(UserWarning, match="11029"):
        images = source.read(np.arange(10))
    assert images.shape == (10, 128, 128)
    assert np.all(source.table().pixel_size == 3.9)
    assert "And 8 more stacks" in source.stacks.problems()[0]


def test_header_of_a_real_stack_is_mrcfiles(data: Path):
    path = data / "particles" / "cryodrgn" / "hand.mrcs"
    with mrcfile.open(path, header_only=True) as peer:
        assert peer.header.nz == 100
