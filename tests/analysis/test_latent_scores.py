"""Scores of latents: which fit which truth, 1 for the ideal, chance for shuffled, no gauge."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.analysis.latent_scores import (
    ScoredImages,
    score_latents,
    score_leaks,
    score_populations,
)
from cryojax_het.simulate.states import Coordinate, States, one_state

COUNT = 1500
LINE = Coordinate(name="opening")
CIRCLE = Coordinate(name="angle", period=2 * np.pi)
CLASSES = Coordinate(name="assembly", categorical=True)


def states_of(coordinate):
    values = {LINE: np.linspace(0, 3, 40), CIRCLE: np.linspace(0, 2 * np.pi, 50, endpoint=False)}
    conformation = values.get(coordinate, np.arange(4.0))
    share = np.linspace(1, 2, len(conformation))
    return States(
        coordinates=(coordinate,),
        conformation=conformation[:, None],
        population=share / share.sum(),
    )


def scored(states, seed=0):
    rng = np.random.default_rng(seed)
    state = rng.choice(len(states), COUNT, p=states.population)
    return ScoredImages(
        states=states,
        state=state,
        rotation=Rotation.random(COUNT, rng=rng).as_matrix(),
        defocus=rng.normal(18000, 4500, COUNT),
    )


def observed(images, noise, seed=1):
    points = images.states.embedding()[images.state]
    return points + noise * np.random.default_rng(seed).normal(size=points.shape)


EACH = pytest.mark.parametrize("coordinate", [LINE, CIRCLE, CLASSES], ids=lambda c: c.name)


@EACH
def test_the_ideal_has_share_one_and_shuffled_latents_have_none(coordinate):
    images = scored(states_of(coordinate))
    ideal = observed(images, 0.05)
    shuffled = np.random.default_rng(2).permutation(ideal)
    best, chance = score_latents(ideal, ideal, images), score_latents(shuffled, ideal, images)
    assert best.keys() == chance.keys()
    assert any(name.startswith(coordinate.name) for name in best)
    for name, score in best.items():
        assert score.share == pytest.approx(1.0), name
        assert abs(chance[name].share) < 0.12, name


@EACH
def test_turning_scaling_and_padding_a_latent_changes_nothing(coordinate):
    images = scored(states_of(coordinate))
    noise = 0.5 if coordinate.categorical else 0.08  # classes are a distance 1 apart
    ideal, latent = observed(images, noise / 2), observed(images, noise)
    latent = np.pad(latent, [(0, 0), (0, 2)])
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(latent.shape[1],) * 2))[0]
    plain = score_latents(latent, ideal, images)
    turned = score_latents(7 - 3.2 * latent @ turn, ideal, images)
    for name, score in plain.items():
        assert 0.1 < score.share < 1.0, name
        assert turned[name].share == pytest.approx(score.share, abs=0.02), name


def test_a_rigid_molecule_has_no_scores_but_leaks():
    images = scored(one_state())
    latent = np.random.default_rng(0).normal(size=(COUNT, 3))
    assert score_latents(latent, latent, images) == {}
    leaks = score_leaks(latent, images)
    assert all(score.value == pytest.approx(1, abs=0.1) for score in leaks.values())
    told = score_leaks(images.rotation[:, 2], images)
    assert told["viewing direction"].value < 0.01
    assert told["defocus"].value == pytest.approx(1, abs=0.1)
    assert score_leaks(images.defocus[:, None], images)["defocus"].value < 0.01


def test_populations_are_recovered_by_a_sharp_latent():
    images = scored(states_of(LINE))
    sharp, blurred = observed(images, 1e-3), observed(images, 0.5)
    good = score_populations(sharp, sharp, images)
    assert good.recovered.sum() == pytest.approx(1)
    assert good.distance == good.ceiling
    assert good.distance < 0.1 * good.flat
    poor = score_populations(blurred, sharp, images)
    assert poor.distance > 5 * poor.ceiling
    assert poor.free_energy.share < good.free_energy.share == pytest.approx(1)
