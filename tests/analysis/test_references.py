"""What scores are held against: by hand from the parts, and kept beside the truth."""

import logging

import numpy as np
import pytest

from cryojax_het.analysis import references as module
from cryojax_het.analysis.baselines import consensus, noise_maps, oracle_of_shells, state_sums
from cryojax_het.analysis.fsc import fourier_shell_correlation
from cryojax_het.analysis.map_scores import areas
from cryojax_het.analysis.references import (
    make_references,
    molecule_spread,
    read_references,
    references_of,
)
from cryojax_het.analysis.spread import map_spread
from cryojax_het.particles.open import open_particles
from cryojax_het.simulate.settings import Simulation
from cryojax_het.simulate.simulate import run_simulation
from cryojax_het.simulate.truth import open_truth


def assert_same(first, second):
    """Equal to the last digit, in all parts."""
    for name in ("consensus", "oracle"):
        one, other = getattr(first, name), getattr(second, name)
        assert set(one) == set(other)
        for mask in one:
            np.testing.assert_array_equal(one[mask], other[mask])
    assert set(first.regions.masks()) == set(second.regions.masks())
    for mask, values in first.regions.masks().items():
        np.testing.assert_array_equal(values, second.regions.masks()[mask])
    np.testing.assert_array_equal(first.consensus_map, second.consensus_map)
    for name in ("rows", "log_likelihood", "prior"):
        one, other = (getattr(r.posterior, name) for r in (first, second))
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(first.choice.scores, second.choice.scores)
    np.testing.assert_array_equal(first.choice.best, second.choice.best)
    assert first.noise_spread == second.noise_spread


def test_baselines_are_those_of_the_sums(hinge_set, references):
    source, truth = hinge_set
    sums = state_sums(source, truth)
    common = consensus(sums)
    np.testing.assert_array_equal(references.consensus_map, common)
    for mask, weight in references.regions.masks().items():
        for state in (3, 60):
            true = truth.map(state) * weight
            best = oracle_of_shells(sums, truth.states, state, references.choice.best)
            for curves, volume in ((references.consensus, common), (references.oracle, best)):
                by_hand = fourier_shell_correlation(volume * weight, true)
                np.testing.assert_allclose(curves[mask][state], by_hand, atol=1e-6)


def test_the_headline_is_where_things_move(hinge_set, references):
    assert references.headline == "moving region"
    assert references.noise_spread is None
    population = hinge_set[1].states.population
    low, high = (
        population @ areas(curves["moving region"])
        for curves in (references.consensus, references.oracle)
    )
    assert high > low + 0.1
    assert len(references.posterior.rows) == len(hinge_set[0])


def test_they_are_made_once(hinge_set, references, tmp_path, monkeypatch):
    kept = tmp_path / "references.h5"
    monkeypatch.setattr(module, "make_references", lambda *_: references)
    assert references_of(*hinge_set, 600, 1, kept) is references

    def refuse(*_):
        raise AssertionError("made again")

    monkeypatch.setattr(module, "make_references", refuse)
    assert_same(references_of(*hinge_set, 600, 1, kept), references)
    # Other images, another seed: they are others.
    for images, seed in ((500, 1), (600, 2)):
        with pytest.raises(AssertionError, match="made again"):
            references_of(*hinge_set, images, seed, kept)
    kept.write_bytes(kept.read_bytes()[:5000])
    assert read_references(kept, "any") is None
    monkeypatch.setattr(module, "make_references", lambda *_: references)
    references_of(*hinge_set, 600, 1, kept)
    monkeypatch.setattr(module, "make_references", refuse)
    assert_same(references_of(*hinge_set, 600, 1, kept), references)
    assert [path.name for path in tmp_path.iterdir()] == ["references.h5"]


def test_where_they_cannot_be_kept_a_warning_says_so(
    hinge_set, references, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(module, "make_references", lambda *_: references)
    with caplog.at_level(logging.WARNING, "cryojax_het"):
        kept = tmp_path / "nowhere" / "references.h5"
        assert references_of(*hinge_set, kept=kept) is references
    assert "could not be written" in caplog.text
    assert str(kept) in caplog.text


def test_a_rigid_molecule_has_a_spread_of_noise(tmp_path):
    settings = Simulation(
        output=tmp_path, count=120, size=24, pixel_size=9.0, hinge=(0.0, 0.0), snr=0.5
    )
    files = run_simulation(settings)
    source, truth = open_particles(files.particles), open_truth(files.truth)
    kept = tmp_path / "references.h5"
    made = references_of(source, truth, 50, 3, kept)
    assert made.headline == "molecule"
    assert len(made.posterior.rows) == 50
    maps = noise_maps(source, truth, 10, 12, seed=3)
    by_hand = map_spread(maps, made.regions.molecule, (1, 11))
    assert made.noise_spread == pytest.approx(by_hand)
    assert molecule_spread(iter(maps), made.regions) == made.noise_spread
    assert_same(references_of(source, truth, 50, 3, kept), made)
    assert_same(make_references(source, truth, 50, 3), made)
