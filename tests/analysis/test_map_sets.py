"""Which map each image has, by the names of files; maps of other samplings."""

import numpy as np
import pytest

from cryojax_het.analysis.fourier_resample import on_grid, resample_box
from cryojax_het.analysis.map_sets import ImageKeys, open_map_set
from cryojax_het.particles.mrc import MrcVolume, write_volume

SIZE, PIXEL = 8, 3.0


def write(path, value, size=SIZE, pixel=PIXEL):
    data = np.full((size,) * 3, value, np.float32)
    write_volume(path, MrcVolume(data, (pixel, pixel, pixel)))


def opened(folder, **keys):
    return open_map_set(folder, ImageKeys(count=20, **keys), SIZE, PIXEL)


def test_particles_have_their_own_maps(tmp_path):
    for row in (3, 17, 11):
        write(tmp_path / f"particle_{row:06d}.mrc", row)
    write(tmp_path / "mean.mrc", 99)
    maps = opened(tmp_path)
    np.testing.assert_array_equal(maps.rows(), [3, 11, 17])
    for row in maps.rows():
        assert np.all(maps.map(int(maps.of_image[row])) == row)
    write(tmp_path / "particle_000020.mrc", 0)
    with pytest.raises(ValueError, match="rows 0 to 19"):
        opened(tmp_path)


@pytest.mark.parametrize("kind", ["npy", "txt"])
def test_images_have_the_map_nearest_to_their_latent(tmp_path, kind):
    points = np.arange(12.0)[:, None] * np.array([1.0, -2.0])
    for number in range(12):  # 10 sorts before 2 by name
        write(tmp_path / f"vol_{number}.mrc", number)
    if kind == "npy":
        np.save(tmp_path / "latents.npy", points)
    else:
        np.savetxt(tmp_path / "z_values.txt", points)
    own = np.random.default_rng(0).integers(12, size=20)
    maps = opened(tmp_path, latents=points[own] + 0.2)
    for row in range(20):
        assert np.all(maps.map(int(maps.of_image[row])) == own[row])
    with pytest.raises(ValueError, match="latents"):
        opened(tmp_path)
    with pytest.raises(ValueError, match="1 per image"):
        opened(tmp_path, latents=np.zeros((20, 1)))
    write(tmp_path / "vol_12.mrc", 0)
    with pytest.raises(ValueError, match="13 maps and latents of 12"):
        opened(tmp_path, latents=points[own])


def test_labels_name_maps_and_one_map_is_for_all(tmp_path):
    write(tmp_path / "class_001.mrc", 0)
    np.testing.assert_array_equal(opened(tmp_path).of_image, np.zeros(20))
    write(tmp_path / "class_002.mrc", 1)
    labels = np.arange(20) % 2
    labels[4] = -1
    maps = opened(tmp_path, labels=labels)
    np.testing.assert_array_equal(maps.of_image, labels)
    assert 4 not in maps.rows()
    with pytest.raises(ValueError, match="Nothing ties"):
        opened(tmp_path)
    with pytest.raises(ValueError, match="from 0 to 1"):
        opened(tmp_path, labels=labels + 1)
    with pytest.raises(FileNotFoundError, match="no maps"):
        opened(tmp_path / "none")


def test_a_run_of_one_map_has_it_for_all_images(tmp_path):
    for value, name in enumerate(("half1", "mean", "half2", "component_01", "mask")):
        write(tmp_path / f"{name}.mrc", value)
    maps = opened(tmp_path)
    assert len(maps) == 1
    assert np.all(maps.map(0) == 1)
    (tmp_path / "mean.mrc").unlink()
    with pytest.raises(ValueError, match="tells what they are"):
        opened(tmp_path)


def smooth(size, pixel):
    """A density made by formula, far from its Nyquist frequency and from the edges of 96 Å."""
    axis = (np.arange(size) - size // 2) * pixel
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    blob = lambda c: np.exp(-((x - c[0]) ** 2 + (y - c[1]) ** 2 + (z - c[2]) ** 2) / (2 * 7**2))
    return blob((4, -6, 3)) + 0.5 * blob((-8, 5, 0))


@pytest.mark.parametrize(("size", "pixel"), [(48, 2.0), (24, 4.0)])
def test_the_same_box_is_resampled(size, pixel):
    got = resample_box(smooth(size, pixel), 32)
    np.testing.assert_allclose(got, smooth(32, 3.0), atol=2e-3)


@pytest.mark.parametrize("size", [24, 40])
def test_the_same_voxels_are_cut_about_the_centre(tmp_path, size):
    data = smooth(size, 3.0).astype(np.float32)
    got = on_grid(MrcVolume(data, (3.0, 3.0, 3.0)), 32, 3.0, tmp_path)
    inner = slice(4, 28)
    np.testing.assert_allclose(got[(inner,) * 3], smooth(32, 3.0)[(inner,) * 3], atol=1e-6)


def test_headers_without_voxel_size_and_strangers(tmp_path):
    data = smooth(32, 3.0).astype(np.float32)
    for voxel in (0.0, 1.0, 3.001):
        kept = on_grid(MrcVolume(data, (voxel, voxel, voxel)), 32, 3.0, tmp_path)
        np.testing.assert_array_equal(kept, data)
    with pytest.raises(ValueError, match="neither"):
        on_grid(MrcVolume(data, (2.0, 2.0, 2.0)), 24, 3.0, tmp_path)
    with pytest.raises(ValueError, match="even cube"):
        on_grid(MrcVolume(data[:31], (3.0, 3.0, 3.0)), 32, 3.0, tmp_path)
    with pytest.raises(ValueError, match="even cubes"):
        resample_box(data, 31)
