"""Labels up to the names of classes, beside the best that images allow."""

from dataclasses import replace

import numpy as np
import pytest

from cryojax_het.analysis.ceiling import StatePosterior
from cryojax_het.analysis.label_scores import label_latent, latent_of, score_labels
from cryojax_het.analysis.outputs import Outputs
from cryojax_het.simulate.states import Coordinate, States

COUNT, CLASSES = 600, 4


@pytest.fixture(scope="module")
def composed(hinge_set):
    """The truth of four classes, of which only the first three are told apart by the images."""
    rng = np.random.default_rng(0)
    truth = hinge_set[1]
    states = States(
        coordinates=(Coordinate(name="class", categorical=True), Coordinate(name="angle")),
        conformation=np.stack([np.array([0.0, 1.0, 2.0, 5.0]), np.arange(4.0)], axis=1),
        population=np.full(CLASSES, 0.25),
    )
    state = rng.integers(CLASSES, size=COUNT)
    truth = replace(truth, states=states, images=replace(truth.images, state=state))
    rows = np.arange(0, COUNT, 2)
    seen = np.minimum(state[rows], 2)
    # The last two states are equally likely wherever one of them is true; a little for ties.
    likelihood = np.full((len(rows), CLASSES), -50.0)
    likelihood[np.arange(len(rows)), seen] = 0.0
    likelihood[seen == 2, 3] = -0.1
    return truth, StatePosterior(rows=rows, log_likelihood=likelihood, prior=states.population)


def test_true_labels_by_any_name_score_one(composed):
    truth, posterior = composed
    names = np.array([2, 0, 3, 1])
    for labels in (truth.images.state, names[truth.images.state]):
        scores = score_labels(labels, truth, posterior)
        # The angle is no class.
        assert set(scores) == {f"class: {n}" for n in ("adjusted Rand index", "accuracy")} | {
            "class: population error"
        }
        assert scores["class: adjusted Rand index"].score.value == 1
        assert scores["class: accuracy"].score.value == 1
        assert scores["class: population error"].score.value == pytest.approx(0, abs=1e-12)
        # More than the images tell.
        assert scores["class: accuracy"].share > 1


def test_the_ceiling_is_that_of_the_most_probable_class(composed):
    truth, posterior = composed
    labels = np.zeros(COUNT, np.int64)
    labels[posterior.rows] = np.minimum(truth.images.state[posterior.rows], 2)
    for score in score_labels(labels, truth, posterior).values():
        assert score.share == pytest.approx(1)
    expected = np.mean(truth.images.state[posterior.rows] <= 2)
    ceiling = score_labels(labels, truth, posterior)["class: accuracy"].ceiling
    assert ceiling == pytest.approx(expected)


def test_shuffled_labels_are_at_chance(composed):
    truth, posterior = composed
    rng = np.random.default_rng(1)
    found = [score_labels(rng.permutation(truth.images.state), truth, posterior) for _ in range(30)]
    rand = [scores["class: adjusted Rand index"].share for scores in found]
    assert abs(np.mean(rand)) < 0.01
    one = score_labels(np.zeros(COUNT, np.int64), truth, posterior)
    for score in one.values():
        assert score.share == pytest.approx(0, abs=1e-12)


def test_images_without_a_class_are_a_class_of_their_own(composed):
    truth, posterior = composed
    without = np.where(truth.images.state == 3, -1, truth.images.state)
    named = score_labels(truth.images.state, truth, posterior)
    assert score_labels(without, truth, posterior) == named


def test_labels_as_a_latent():
    latent = label_latent(np.array([1, 0, -1, 2, 1]))
    distance = np.linalg.norm(latent[:, None] - latent, axis=-1)
    assert np.isnan(latent[2]).all()
    np.testing.assert_allclose(distance[0, [0, 1, 3, 4]], [0, np.sqrt(2), np.sqrt(2), 0])


def test_what_stands_for_the_latents_of_a_method(tmp_path):
    none = Outputs(
        path=tmp_path, latents=None, covariance=None, samples=None, labels=None, maps_folder=None
    )
    labels, latents = np.array([0, 1, 1]), np.ones((3, 2))
    assert latent_of(none) is None
    np.testing.assert_array_equal(latent_of(replace(none, labels=labels)), label_latent(labels))
    assert latent_of(replace(none, labels=labels, latents=latents)) is latents
    # A run of one map keeps a table of no columns.
    assert latent_of(replace(none, latents=np.ones((3, 0)))) is None
