"""The figure of a free energy is written, whatever there is to draw."""

import numpy as np
import pytest

from cryojax_het.inference.free_energy.profile import FreeEnergyProfile, LeftOut
from cryojax_het.report.free_energy_plots import plot_profile


@pytest.mark.parametrize(
    "left_out", [[], [LeftOut(node=1, free_energy=np.array([0, np.nan, 2.0]), fall=3.0)]]
)
def test_profile(tmp_path, left_out):
    draws = np.random.default_rng(0).dirichlet([5, 3, 2], (2, 50))
    ones = np.ones(3)
    profile = FreeEnergyProfile(
        population=draws,
        off_path=np.zeros((2, 50)),
        counts=30 * draws.mean(axis=(0, 1)),
        r_hat=ones,
        bulk=500 * ones,
        tail=500 * ones,
        divergences=0,
    )
    histogram = np.array([0.6, 0.4, 0.0])  # an empty node has no naive free energy
    place = ("z1", np.array([-1.0, 0.0, 2.0]))
    plot_profile(tmp_path / "a.png", place, profile, histogram, left_out)
    assert (tmp_path / "a.png").stat().st_size > 5000
    assert profile.converged
