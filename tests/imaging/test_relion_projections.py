"""Projections made by RELION, reproduced from the map with nothing free but the scale.

The 65³ map was projected by RELION at the angles and origins of the STAR files: at 65 pixels, and
at 64 after Fourier cropping (same box, so 64 pixels of 65/64). Our boxes are even, so the map is
padded by one voxel at the low side, which takes its centre 32 to ours, 33; and images of either
size are compared at the frequencies they share, those of 64 pixels over the box of 65, by a
discrete transform about their pixel n // 2. Two peculiarities of the files, both fixed numbers:

- RELION's projections of odd boxes lie one pixel further along x and y than its origins say
  (the file's authors correct for it likewise);
- `rln_proj_64` was made from a map cropped about its corner: its molecule sits half a voxel low
  along each axis.
"""

import jax
import jax.numpy as jnp
import mrcfile
import numpy as np
import pytest

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Latents, render
from cryojax_het.imaging.optics import Optics
from cryojax_het.imaging.rotation import from_euler
from cryojax_het.volumes.kernel import cubic
from cryojax_het.volumes.voxels import Voxels

GRID = FourierGrid(64, 65 / 64)
FOUR_FIFTHS = 26  # shells up to 0.8 of the Nyquist frequency


def rows_of(path):
    """The particles of a STAR file, as dictionaries, by the plainest reading."""
    block, labels, rows = None, [], []
    for line in path.read_text().splitlines():
        words = line.split()
        if not words or words[0].startswith(("#", "loop_")):
            continue
        if words[0].startswith("data_"):
            block, labels = words[0], []
        elif words[0].startswith("_"):
            labels.append(words[0])
        elif block == "data_particles":
            rows.append(dict(zip(labels, words, strict=True)))
    return rows


def transform_of(image):
    """Half-plane of `GRID` of an image of 64 or 65 pixels, origin at its pixel 32."""
    transform = np.fft.fft2(np.fft.ifftshift(image))
    keep = np.r_[0:32, -32:0]
    return transform[keep][:, keep][:, :33] * (65 / len(image)) ** 2


def ring_correlation(a, b):
    weights, shells = np.asarray(GRID.weights()), GRID.shells()
    sums = lambda values: np.bincount(shells.ravel(), (weights * values).ravel())[1:32]
    return sums((a.conj() * b).real) / np.sqrt(sums(np.abs(a) ** 2) * sums(np.abs(b) ** 2))


@pytest.fixture(scope="module")
def ribosome(data):
    voxels = mrcfile.read(data / "maps" / "aspire_clean70SRibosome_vol_65p.mrc").astype(float)
    return Voxels(jnp.asarray(np.pad(voxels, [(1, 0)] * 3)), 1.0, cubic()).prepare(GRID)


@jax.jit
def view(ribosome, degrees, shift):
    latents = Latents(jnp.zeros(0), from_euler(*jnp.deg2rad(degrees)), shift, jnp.array(1.0))
    return render(ribosome, latents, Optics.ideal(), GRID)


@pytest.mark.parametrize(
    ("name", "size", "off_centre"),
    [
        ("rln_proj_64_centered", 64, 0.0),
        ("rln_proj_64_shifted", 64, 0.0),
        ("rln_proj_64", 64, -0.5),
        ("rln_proj_65", 65, 0.0),
        ("rln_proj_65_centered", 65, 0.0),
        ("rln_proj_65_shifted", 65, 0.0),
    ],
)
def test_relion_projections(data, ribosome, name, size, off_centre):
    images = mrcfile.read(data / "particles" / "aspire" / f"{name}.mrcs").astype(float)
    rows = rows_of(data / "particles" / "aspire" / f"{name}.star")
    assert len(images) == len(rows) >= 4
    for image, row in zip(images, rows, strict=True):
        degrees = np.array([float(row[f"_rlnAngle{angle}"]) for angle in ("Rot", "Tilt", "Psi")])
        origin = np.array([float(row.get(f"_rlnOrigin{axis}", 0)) for axis in "XY"])
        rotation = np.asarray(from_euler(*jnp.deg2rad(jnp.asarray(degrees))))
        shift = -origin * 65 / size + (size % 2) + (rotation @ np.full(3, off_centre))[:2]
        ours = np.asarray(view(ribosome, jnp.asarray(degrees), jnp.asarray(shift)))
        theirs = transform_of(image)
        correlation = ring_correlation(ours, theirs)
        assert correlation[:FOUR_FIFTHS].min() > 0.998
        scale = np.vdot(ours, theirs).real / np.vdot(ours, ours).real
        # Positive, and that of a projection: RELION sums voxels, we integrate over Å.
        assert scale == pytest.approx(size / 65, rel=0.01)
