"""One set of images, and what they say of each basis, for all tests of hyper-molecules."""

import equinox as eqx
import pytest

from cryojax_het.inference.hyper_molecules.image_equations import image_equations

from .small_world import BALL, GRID, TWO, images


@pytest.fixture(scope="session")
def seen():
    return images(60, snr=2.0)


def _of(basis, seen):
    return eqx.filter_jit(image_equations)(basis, seen.noise, seen.batch, GRID)


@pytest.fixture(scope="session")
def ball(seen):
    """Equations of the functions of one ball."""
    return _of(BALL, seen)


@pytest.fixture(scope="session")
def two(seen):
    """Equations of the functions of two balls."""
    return _of(TWO, seen)
