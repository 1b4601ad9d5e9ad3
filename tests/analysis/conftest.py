"""A small simulated data set with complete truth, shared by what is scored on images."""

import pytest

from cryojax_het.analysis.references import make_references
from cryojax_het.particles.open import open_particles
from cryojax_het.simulate.settings import Simulation
from cryojax_het.simulate.simulate import run_simulation
from cryojax_het.simulate.truth import open_truth


@pytest.fixture(scope="session")
def hinge_set(tmp_path_factory):
    """`(source, truth)` of 600 images of the hinged molecule, 24 pixels of 9 Å."""
    folder = tmp_path_factory.mktemp("hinge")
    settings = Simulation(
        output=folder, count=600, size=24, pixel_size=9.0, hinge=(-60.0, 60.0), snr=0.5
    )
    files = run_simulation(settings)
    return open_particles(files.particles), open_truth(files.truth)


@pytest.fixture(scope="session")
def references(hinge_set):
    """References of `hinge_set`, the ideal observer having seen all images."""
    return make_references(*hinge_set, 600, 0)
