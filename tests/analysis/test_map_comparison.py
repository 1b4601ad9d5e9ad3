"""Maps of two runs: the same in any gauge, by any name, at any scale; others by chance."""

import numpy as np
import pytest

from cryojax_het.analysis.map_agreement import deviations, fsc_areas
from cryojax_het.analysis.map_comparison import common_mask, compare_maps, on_common_grid
from cryojax_het.analysis.map_sets import MapSet
from cryojax_het.analysis.mask import spherical_mask
from cryojax_het.particles.mrc import MrcVolume, write_volume

SIZE, PIXEL, IMAGES, MAPS = 16, 4.0, 60, 5
MASK = spherical_mask(SIZE, 5.0, 2.0).astype(np.float32)


def volumes(count, seed=0):
    """A blob with a bump that moves along x, and noise."""
    rng = np.random.default_rng(seed)
    axis = np.arange(SIZE) - SIZE // 2
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    core = np.exp(-(x**2 + y**2 + z**2) / 18)
    places = np.linspace(-3, 3, count)
    moving = [np.exp(-((x - p) ** 2 + (y - 3) ** 2 + z**2) / 4) for p in places]
    noise = 0.01 * rng.normal(size=(count, SIZE, SIZE, SIZE))
    return (core + np.array(moving) + noise).astype(np.float32)


def map_set(folder, maps, of_image, size=SIZE):
    folder.mkdir(exist_ok=True)
    paths = [folder / f"map_{number:03d}.mrc" for number in range(len(maps))]
    for path, volume in zip(paths, maps, strict=True):
        write_volume(path, MrcVolume(volume, (PIXEL,) * 3))
    return MapSet(paths=paths, of_image=of_image, size=size, pixel_size=PIXEL)


@pytest.fixture
def of_image():
    return np.random.default_rng(1).integers(MAPS, size=IMAGES)


def test_scores_are_those_of_images_one_by_one(tmp_path, of_image):
    one, other = volumes(MAPS), volumes(MAPS, 1)
    sets = (map_set(tmp_path / "a", one, of_image), map_set(tmp_path / "b", other, of_image))
    scores = compare_maps(*sets, MASK).scores()
    weight = np.bincount(of_image, minlength=MAPS) / IMAGES
    pairs = {
        "maps, by image": (one, other),
        "deviations of maps, by image": (deviations(one, weight), deviations(other, weight)),
    }
    for name, (a, b) in pairs.items():
        areas = fsc_areas(a, b, MASK, SIZE // 2 - 1)[np.ix_(of_image, of_image)]
        assert scores[name].value == pytest.approx(np.trace(areas) / IMAGES, abs=1e-6)
        apart = (areas.sum() - np.trace(areas)) / (IMAGES * (IMAGES - 1))
        assert scores[name].chance == pytest.approx(apart, abs=1e-6)
    # The mean makes maps agree, whoever's they are.
    assert scores["maps, by image"].chance > 0.5
    assert abs(scores["deviations of maps, by image"].chance) < 0.2


def test_names_order_and_scale_of_maps_change_nothing(tmp_path, of_image):
    maps = volumes(MAPS)
    first = map_set(tmp_path / "a", maps, of_image)
    other = map_set(tmp_path / "b", volumes(MAPS, 1), of_image)
    order = np.random.default_rng(2).permutation(MAPS)
    renamed = map_set(tmp_path / "c", 7 * volumes(MAPS, 1)[order], np.argsort(order)[of_image])
    expected = compare_maps(first, other, MASK).scores()
    for name, score in compare_maps(first, renamed, MASK).scores().items():
        assert score.value == pytest.approx(expected[name].value, abs=1e-5)
        assert score.chance == pytest.approx(expected[name].chance, abs=1e-5)


def test_a_run_agrees_with_itself(tmp_path, of_image):
    maps = map_set(tmp_path / "a", volumes(MAPS), of_image)
    found = compare_maps(maps, maps, MASK)
    assert all(score.share() == pytest.approx(1, abs=1e-5) for score in found.scores().values())
    np.testing.assert_allclose(found.curves["same image"][:, 1:], 1, atol=1e-5)
    assert found.curves["any image"].shape == (IMAGES, SIZE // 2 + 1)
    # Alike beside alike: along the motion, or back along it.
    near = np.argsort(-found.deviations, axis=1)[:, 1]
    np.testing.assert_array_equal(np.abs(near - np.arange(MAPS)), 1)
    np.testing.assert_allclose(np.diag(found.deviations), 1, atol=1e-5)


def test_shuffled_images_agree_as_sets_alone(tmp_path):
    of_image = np.arange(IMAGES) % MAPS
    first = map_set(tmp_path / "a", volumes(MAPS), of_image)
    shares = []
    for seed in range(20):
        shuffled = np.random.default_rng(seed).permutation(of_image)
        scores = compare_maps(first, map_set(tmp_path / "a", volumes(MAPS), shuffled), MASK)
        shares.append(scores.scores()["deviations of maps, by image"].share())
        as_sets = scores.scores()["deviations of maps, as sets"]
        assert as_sets.share() == pytest.approx(1, abs=1e-5)
    assert abs(np.mean(shares)) < 0.05


def test_single_maps_have_no_deviations(tmp_path, of_image):
    several = map_set(tmp_path / "a", volumes(MAPS), of_image)
    single = map_set(tmp_path / "b", volumes(1), np.zeros(IMAGES, np.int64))
    found = compare_maps(several, single, MASK)
    assert found.deviations is None
    assert set(found.scores()) == {"maps, by image", "maps, as sets"}
    # One map for all: no image's is its own.
    score = compare_maps(single, single, MASK).scores()["maps, by image"]
    assert score.value == pytest.approx(score.chance)


def test_only_images_with_both_maps_count(tmp_path):
    half = np.where(np.arange(IMAGES) < 30, np.arange(IMAGES) % MAPS, -1)
    rest = np.where(np.arange(IMAGES) >= 20, np.arange(IMAGES) % MAPS, -1)
    first = map_set(tmp_path / "a", volumes(MAPS), half)
    found = compare_maps(first, map_set(tmp_path / "b", volumes(MAPS), rest), MASK)
    np.testing.assert_array_equal(found.rows, np.arange(20, 30))
    none = map_set(tmp_path / "b", volumes(MAPS), np.where(half < 0, 0, -1))
    with pytest.raises(ValueError, match="0 images have a map in both"):
        compare_maps(first, none, MASK)


def test_many_maps_are_thinned(tmp_path, monkeypatch):
    monkeypatch.setattr("cryojax_het.analysis.map_comparison._MOST", 6)
    maps = map_set(tmp_path / "a", volumes(IMAGES), np.arange(IMAGES))
    found = compare_maps(maps, maps, MASK)
    assert 2 <= len(found.rows) <= 6
    assert found.areas.shape == (len(found.rows),) * 2


def test_the_coarser_grid_and_a_mask_of_both(tmp_path, of_image):
    fine = map_set(tmp_path / "a", np.pad(volumes(MAPS), [(0, 0), *[(4, 4)] * 3]), of_image)
    coarse = map_set(tmp_path / "b", volumes(MAPS), of_image)
    for pair in ((fine, coarse), (coarse, fine)):
        first, second = on_common_grid(*pair)
        assert (first.size, second.size) == (SIZE, SIZE)
        np.testing.assert_array_equal(first.map(2), second.map(2))
    mask = common_mask(*on_common_grid(fine, coarse))
    assert mask.shape == (SIZE,) * 3
    assert mask[SIZE // 2, SIZE // 2, SIZE // 2] == 1
    assert mask[0, 0, 0] == 0
