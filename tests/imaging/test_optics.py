"""The transfer function against RELION's formula written out afresh in NumPy, and brute force."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Latents, render
from cryojax_het.imaging.optics import Optics
from cryojax_het.volumes.gaussians import Gaussians

COUNT = 100
GRID = FourierGrid(24, 1.4)
INSIDE = np.asarray(GRID.inside())


def random_columns(seed=0):
    """A table as files have it: kV, mm, Å, radians."""
    rng = np.random.default_rng(seed)
    defocus = rng.uniform(-5000, 35000, COUNT)
    return {
        "defocus_u": defocus,
        "defocus_v": defocus + rng.uniform(-800, 800, COUNT),
        "astigmatism_angle": rng.uniform(-np.pi, np.pi, COUNT),
        "voltage": rng.choice([80.0, 100.0, 200.0, 300.0], COUNT),
        "spherical_aberration": rng.uniform(0, 3.0, COUNT),
        "amplitude_contrast": rng.uniform(0, 0.3, COUNT),
        "phase_shift": rng.uniform(0, np.pi, COUNT),
        "b_factor": rng.uniform(0, 100, COUNT),
        "scale": rng.uniform(0.5, 2, COUNT),
        "group": rng.integers(0, 5, COUNT),
        "beam_tilt": rng.normal(0, 5e-4, (COUNT, 2)),
        "magnification": np.eye(2) + rng.normal(0, 0.02, (COUNT, 2, 2)),
    }


def relion_ctf(row, kx, ky):
    """-sin(K1 Δf k² + K2 k⁴ - K5 - K3), defoci negated, by angle: as RELION's manual has it."""
    volts = row["voltage"] * 1e3
    wavelength = 12.2639 / np.sqrt(volts * (1 + 0.97845e-6 * volts))
    aberration = row["spherical_aberration"] * 1e7
    w = row["amplitude_contrast"]
    azimuth = np.arctan2(ky, kx) - row["astigmatism_angle"]
    average = -(row["defocus_u"] + row["defocus_v"]) / 2
    deviation = -(row["defocus_u"] - row["defocus_v"]) / 2
    defocus = average + deviation * np.cos(2 * azimuth)
    square = kx**2 + ky**2
    argument = np.pi * wavelength * defocus * square
    argument += np.pi / 2 * aberration * wavelength**3 * square**2
    argument -= row["phase_shift"] + np.arctan(w / np.sqrt(1 - w**2))
    return -np.sin(argument) * np.exp(-row["b_factor"] / 4 * square) * row["scale"]


def frequencies():
    return np.meshgrid(np.fft.rfftfreq(24, 1.4), np.fft.fftfreq(24, 1.4))


def cast(optics, dtype):
    floating = lambda leaf: jnp.issubdtype(leaf.dtype, jnp.floating)
    return jax.tree.map(lambda leaf: leaf.astype(dtype) if floating(leaf) else leaf, optics)


def each_row(columns):
    return [{name: column[i] for name, column in columns.items()} for i in range(COUNT)]


@pytest.mark.parametrize("magnified", [False, True])
def test_ctf_is_relions(magnified):
    columns = {k: v for k, v in random_columns().items() if k != "beam_tilt"}
    if not magnified:
        del columns["magnification"]
    ctf = jax.jit(jax.vmap(lambda optics: optics.ctf(GRID)))(Optics.from_columns(columns))
    kx, ky = frequencies()
    for row, got in zip(each_row(columns), ctf, strict=True):
        m = row.get("magnification", np.eye(2))
        true = relion_ctf(row, m[0, 0] * kx + m[0, 1] * ky, m[1, 0] * kx + m[1, 1] * ky)
        np.testing.assert_allclose(got, true, atol=1e-10)


def test_ctf_in_single_precision():
    columns = {k: v for k, v in random_columns().items() if k != "beam_tilt"}
    optics = cast(Optics.from_columns(columns), jnp.float32)
    grid = FourierGrid(24, jnp.float32(1.4))
    single = jax.jit(jax.vmap(lambda optics: optics.ctf(grid)))(optics)
    assert single.dtype == jnp.float32
    # Against the same rounded parameters in double precision. The phase, up to hundreds of radians,
    # is known to float32's digits; what a rounding in it moves is the most that may differ.
    rounded = cast(optics, jnp.float64)
    double = jax.jit(jax.vmap(lambda optics: optics.ctf(FourierGrid(24, np.float32(1.4)))))(rounded)
    kx, ky = frequencies()
    k2 = 1.1 * (kx**2 + ky**2)
    along, across = np.abs(optics.defocus_u), np.abs(optics.defocus_v)
    defocus = (
        np.maximum(along, across)[:, None, None]
        * np.pi
        * np.asarray(optics.wavelength)[:, None, None]
    )
    phase = 2 * np.pi + defocus * k2
    bound = 8 * np.finfo(np.float32).eps * phase * np.asarray(optics.scale)[:, None, None]
    assert (np.abs(single - double) < bound).all()
    assert float(jnp.median(jnp.abs(single - double))) < 1e-6


def test_columns_keep_units_and_kinds():
    columns = random_columns()
    optics = Optics.from_columns(columns)
    np.testing.assert_allclose(optics.spherical_aberration, columns["spherical_aberration"] * 1e7)
    kilovolts = columns["voltage"] == 300.0
    np.testing.assert_allclose(optics.wavelength[kilovolts], 0.0196869701, atol=5e-11)
    np.testing.assert_array_equal(optics.group, columns["group"])
    assert optics.group.dtype == jnp.int32
    for name in ("defocus_u", "defocus_v", "astigmatism_angle", "amplitude_contrast"):
        np.testing.assert_allclose(getattr(optics, name), columns[name])
    for name in ("phase_shift", "b_factor", "scale", "beam_tilt", "magnification"):
        np.testing.assert_allclose(getattr(optics, name), columns[name])
    plain = Optics.from_columns(columns | {"beam_tilt": None, "magnification": None})
    assert plain.beam_tilt is None
    assert plain.magnification is None


def test_ideal_optics_change_nothing():
    np.testing.assert_allclose(Optics.ideal().transfer(GRID), 1.0, atol=1e-15)


def one_row(index=3, **changes):
    columns = random_columns() | changes
    optics = Optics.from_columns(columns)
    return jax.tree.map(lambda leaf: leaf[index], optics)


def test_gradient_with_respect_to_every_parameter():
    optics = one_row()
    target = jax.random.normal(jax.random.key(0), (2, 24, 13)) @ jnp.eye(13)
    floats = {k: v for k, v in vars(optics).items() if k != "group"}

    def loss(floats):
        difference = Optics(**floats, group=optics.group).transfer(GRID) - target[0]
        return jnp.sum(difference.real**2) + jnp.sum((difference.imag - target[1]) ** 2)

    value = jax.jit(loss)
    gradient = jax.jit(jax.grad(loss))(floats)
    for name, leaf in floats.items():
        assert np.isfinite(gradient[name]).all(), name
        for index in np.ndindex(leaf.shape):
            step = 1e-5 * max(1e-2, abs(float(leaf[index])))
            plus = value(floats | {name: leaf.at[index].add(step)})
            minus = value(floats | {name: leaf.at[index].add(-step)})
            numeric = float((plus - minus) / (2 * step))
            assert float(gradient[name][index]) == pytest.approx(numeric, rel=1e-4, abs=1e-5), name


def test_beam_tilt_is_the_documented_phase_and_keeps_images_real():
    columns = random_columns() | {"magnification": None}
    optics = jax.tree.map(lambda leaf: leaf[3], Optics.from_columns(columns))
    transfer, ctf = np.asarray(optics.transfer(GRID)), np.asarray(optics.ctf(GRID))
    kx, ky = frequencies()
    row = each_row(random_columns())[3]
    aberration = row["spherical_aberration"] * 1e7 * float(optics.wavelength) ** 2
    along = kx * row["beam_tilt"][0] + ky * row["beam_tilt"][1]
    phase = -2 * np.pi * aberration * (kx**2 + ky**2) * along
    np.testing.assert_allclose(transfer, ctf * np.exp(1j * phase), atol=1e-12)
    assert np.abs(phase).max() > 0.5
    # A real image: on the column kx = 0 the value at -ky is the conjugate of that at ky.
    rows = np.arange(1, 12)
    np.testing.assert_allclose(transfer[-rows, 0], transfer[rows, 0].conj(), atol=1e-14)
    view = np.where(INSIDE, np.asarray(GRID.from_image(jnp.ones((24, 24)))) + transfer, 0)
    again = GRID.from_image(GRID.to_image(jnp.asarray(view)))
    np.testing.assert_allclose(again, view, atol=1e-10)


def test_a_magnified_image_is_the_slice_at_magnified_frequencies():
    optics = one_row(beam_tilt=None)
    rotation = Rotation.random(rng=np.random.default_rng(1)).as_matrix()
    positions = np.random.default_rng(2).normal(0, 4, (6, 3))
    amplitudes = np.linspace(0.5, 1.5, 6)
    volume = Gaussians(jnp.asarray(positions), jnp.asarray(amplitudes), jnp.full(6, 1.7))
    shift = np.array([2.0, -1.0])
    latents = Latents(jnp.zeros(0), jnp.asarray(rotation), jnp.asarray(shift), jnp.array(1.1))
    got = np.asarray(render(volume, latents, optics, GRID))
    row = each_row(random_columns())[3]
    for i, v in enumerate(np.fft.fftfreq(24, 1.4)):
        for j, u in enumerate(np.fft.rfftfreq(24, 1.4)):
            true = row["magnification"] @ [u, v]
            point = rotation.T @ [*true, 0.0]
            form = amplitudes * np.exp(-2j * np.pi * positions @ point)
            value = form.sum() * np.exp(-2 * np.pi**2 * 1.7**2 * true @ true)
            # The particle is moved in the image, in the frequencies of the image.
            value = value * 1.1 * np.exp(-2j * np.pi * (u * shift[0] + v * shift[1]))
            expected = value * relion_ctf(row, *true) if INSIDE[i, j] else 0
            assert got[i, j] == pytest.approx(expected, abs=1e-10)
