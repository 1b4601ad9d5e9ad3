"""Gaussians of a structure or a map, placed, scaled and blurred as the consensus wants them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.analysis.fourier_resample import resample_box
from cryojax_het.analysis.fsc import fourier_shell_correlation
from cryojax_het.commands.mixture_reference import reference_of
from cryojax_het.commands.mixture_settings import MixtureSettings
from cryojax_het.imaging.grid import FourierGrid

from .mixture_world import PIXEL, RESIDUES, SIZE, chain, consensus, density, write_structure

pytestmark = pytest.mark.usefixtures("float32")
SCALE, BLUR = 0.4, 2.5


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """The consensus of the chain, 2.5 Å of blur and 0.4 of its electrons."""
    return consensus(tmp_path_factory.mktemp("consensus"), density(chain(), BLUR, SCALE))


def settings(**options):
    return MixtureSettings(particles=Path("none.star"), output=Path("none"), **options)


def rendered(reference):
    """Through finer voxels: values at wide ones would alias."""
    fine = FourierGrid(4 * SIZE, PIXEL / 4)
    made = np.asarray(reference.mixture.density(np.zeros(0, np.float32), fine), np.float64)
    return resample_box(made, SIZE)


@pytest.mark.parametrize(
    ("beads", "count"), [("residue", RESIDUES), ("two", 2 * RESIDUES), ("atoms", 3 * RESIDUES)]
)
def test_a_structure_in_frame_gives_the_map_back(known, tmp_path, beads, count):
    path = write_structure(tmp_path / "chain.pdb", chain())
    found = reference_of(settings(structure=path, beads=beads, in_frame=True), known)
    assert len(found.mixture.amplitudes) == count
    assert found.about["scale"] == pytest.approx(SCALE, rel=0.02)
    difference = rendered(found) - known.mean
    assert np.linalg.norm(difference) < 0.05 * np.linalg.norm(known.mean)
    # Each atom follows the Gaussian that is nearest to it, or nearly so.
    away = found.atoms.positions - np.asarray(found.mixture.positions)[found.follows]
    assert np.linalg.norm(away, axis=1).max() < 2.5


def test_a_structure_elsewhere_is_brought_into_the_map(known, tmp_path):
    turn = Rotation.from_rotvec([0.4, -1.1, 0.7]).as_matrix()
    moved = chain().at(chain().positions @ turn.T + [30.0, -12.0, 8.0])
    path = write_structure(tmp_path / "moved.pdb", moved)
    found = reference_of(settings(structure=path), known)
    assert found.about["correlation"] > 0.85  # blurred otherwise than the map
    np.testing.assert_allclose(found.atoms.positions, chain().positions, atol=0.6)


def test_pseudo_atoms_give_the_map_back_narrower_than_they_were_placed(known):
    found = reference_of(settings(), known)
    fsc = fourier_shell_correlation(rendered(found), known.mean.astype(np.float64))
    assert (fsc[:8] > 0.95).all()
    assert float(found.mixture.widths.max()) < found.about["width"]
    np.testing.assert_allclose(found.atoms.positions, found.mixture.positions, atol=1e-4)


def test_a_structure_that_is_not_there_is_refused(known, tmp_path):
    path = write_structure(tmp_path / "chain.pdb", chain())
    dark = replace(known, mean=-known.mean)
    with pytest.raises(ValueError, match="of this hand"):
        reference_of(settings(structure=path), dark)


def test_settings_without_sense_are_refused():
    with pytest.raises(ValueError, match="--pseudo-width"):
        settings(pseudo_width=0.0)
    with pytest.raises(ValueError, match="--pseudo-residual"):
        settings(pseudo_residual=1.0)
