from pathlib import Path

import numpy as np
import pytest

from cryojax_het.simulate.motion_settings import Basin, PopulationSettings
from cryojax_het.simulate.populations import even_axis, grid_states
from cryojax_het.simulate.states import Coordinate

LINE = even_axis(Coordinate(name="line"), (0.0, 4.0), 5)
CIRCLE = even_axis(Coordinate(name="circle", period=2 * np.pi), (0.0, 360.0), 8, np.pi / 180)


def test_no_axis_is_one_state(tmp_path):
    states = grid_states((), PopulationSettings(), tmp_path)
    assert len(states) == 1
    assert states.conformation.shape == (1, 0)


def test_grid_runs_fastest_along_the_last_axis_and_angles_are_radians(tmp_path):
    states = grid_states((LINE, CIRCLE), PopulationSettings(), tmp_path)
    assert [c.name for c in states.coordinates] == ["line", "circle"]
    expected = [(x, k * np.pi / 4) for x in range(5) for k in range(8)]
    np.testing.assert_allclose(states.conformation, expected, atol=1e-12)
    np.testing.assert_allclose(states.population, 1 / 40)


def test_basins_are_gaussians_of_the_given_weights(tmp_path):
    basins = (
        Basin(centre=(1.0,), width=(0.5,), weight=3.0),
        Basin(centre=(4.0,), width=(0.7,), weight=1.0),
    )
    states = grid_states((LINE,), PopulationSettings(basins=basins), tmp_path)
    x = np.arange(5.0)
    first, second = (np.exp(-((x - c) ** 2) / (2 * w**2)) for c, w in ((1, 0.5), (4, 0.7)))
    expected = 0.75 * first / first.sum() + 0.25 * second / second.sum()
    np.testing.assert_allclose(states.population, expected, rtol=1e-12)


def test_basins_on_a_circle_reach_over_its_seam(tmp_path):
    basins = (Basin(centre=(350.0,), width=(30.0,)),)
    share = grid_states((CIRCLE,), PopulationSettings(basins=basins), tmp_path).population
    distance = np.array([10, 55, 100, 145, 170, 125, 80, 35.0])
    expected = np.exp(-((distance / 30) ** 2) / 2)
    np.testing.assert_allclose(share, expected / expected.sum(), rtol=1e-12)


def test_weights_and_files(tmp_path):
    weights = (1.0, 2.0, 3.0, 4.0, 10.0)
    states = grid_states((LINE,), PopulationSettings(weights=weights), tmp_path)
    np.testing.assert_allclose(states.population, np.array(weights) / 20)
    table = np.arange(40.0).reshape(5, 8)
    np.save(tmp_path / "table.npy", table)
    from_file = PopulationSettings(file=Path("table.npy"))
    states = grid_states((LINE, CIRCLE), from_file, tmp_path)
    row = np.flatnonzero((states.conformation == [3.0, CIRCLE.values[2] * np.pi / 180]).all(axis=1))
    assert states.population[row] == pytest.approx(table[3, 2] / table.sum())
    with pytest.raises(ValueError, match=r"table\.npy must have the shape .*\(5,\). Got \(5, 8\)"):
        grid_states((LINE,), from_file, tmp_path)


def test_wrong_populations(tmp_path):
    states = lambda **given: grid_states((LINE,), PopulationSettings(**given), tmp_path)
    with pytest.raises(ValueError, match="one entry per state"):
        states(weights=(1.0,))
    with pytest.raises(ValueError, match="must not be negative"):
        states(weights=(1.0, 1.0, 1.0, 1.0, -1.0))
    with pytest.raises(ValueError, match="No state is near"):
        states(basins=(Basin(centre=(1e3,), width=(1.0,)),))
    with pytest.raises(ValueError, match="one centre per coordinate"):
        states(basins=(Basin(centre=(1.0, 2.0), width=(1.0, 1.0)),))
    with pytest.raises(ValueError, match="not several"):
        PopulationSettings(weights=(1.0,), basins=(Basin(centre=(1.0,), width=(1.0,)),))
    with pytest.raises(ValueError, match="positive width"):
        Basin(centre=(1.0,), width=(0.0,))
    with pytest.raises(ValueError, match="at least one state"):
        even_axis(Coordinate(name="x"), (0.0, 1.0), 0)
