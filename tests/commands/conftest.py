"""A small data set made by formulas, written as users have it, and ways to run the command."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from cryojax_het.imaging import rotation as so3
from cryojax_het.imaging.grid import FourierGrid
from cryojax_het.imaging.image import Latents, render
from cryojax_het.imaging.optics import Optics
from cryojax_het.particles.new_star import new_star
from cryojax_het.particles.source import Particles, make_particles
from cryojax_het.particles.stack_writer import StackWriter
from cryojax_het.results.run import RunFolder
from cryojax_het.simulate.settings import Simulation
from cryojax_het.simulate.simulate import run_simulation
from cryojax_het.volumes.gaussians import Gaussians

ROOT = Path(__file__).resolve().parents[2]
BOX, PIXEL, COUNT = 32, 4.0, 400


@dataclass(frozen=True)
class Images:
    """Images with their true table and the density that they are of."""

    particles: Particles
    pixels: np.ndarray
    volume: Gaussians

    def truth(self, size=BOX, pixel_size=PIXEL):
        """The density on a grid, `[z, y, x]`: `Σ a N(r; c, s²)` in NumPy."""
        r = (np.arange(size) - size // 2) * pixel_size
        volume = self.volume
        x, y, z = np.asarray(volume.positions).T
        width = np.asarray(volume.widths)
        profile = lambda c: stats.norm.pdf(r[:, None], c, width)
        amplitudes = np.asarray(volume.amplitudes)
        return np.einsum("zj,yj,xj,j->zyx", profile(z), profile(y), profile(x), amplitudes)

    def write(self, folder, particles=None, pixels=None):
        """`particles.star` beside `images.mrcs`; returns the path of the first."""
        particles = self.particles if particles is None else particles
        pixels = self.pixels if pixels is None else pixels
        folder.mkdir(parents=True, exist_ok=True)
        with StackWriter(
            folder / "images.mrcs", pixels.shape[1], float(self.particles.pixel_size[0])
        ) as stack:
            stack.append(pixels)
        names = [f"{i + 1}@images.mrcs" for i in range(len(pixels))]
        new_star(folder / "particles.star", particles, names)
        return folder / "particles.star"

    def changed(self, **columns):
        """The table with some columns replaced."""
        return replace(self.particles, **columns)


def asymmetric_molecule():
    """Thirty Gaussians with no symmetry, 55 Å in radius."""
    rng = np.random.default_rng(3)
    directions = rng.normal(size=(30, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    positions = 40 * directions * rng.uniform(0.2, 1, (30, 1)) + [5.0, -4.0, 3.0]
    return Gaussians(jnp.asarray(positions), jnp.linspace(50.0, 150.0, 30), jnp.full(30, 6.0))


def simulate(count=COUNT, size=BOX, pixel_size=PIXEL, noise=0.5, seed=0, **columns):
    """`count` projections with CTF, shifts and white noise (relative to the images' deviation)."""
    rng = np.random.default_rng(seed)
    rotation = jax.vmap(so3.random)(jax.random.split(jax.random.key(seed), count))
    defocus = rng.uniform(8e3, 2e4, count)
    known = {
        "rotation": np.asarray(rotation, float),
        "shift": rng.normal(size=(count, 2)) * 4,
        "defocus_u": defocus,
        "defocus_v": defocus - rng.uniform(0, 1e3, count),
        "astigmatism_angle": rng.uniform(0, np.pi, count),
        "voltage": 300.0,
        "spherical_aberration": 2.7,
        "amplitude_contrast": 0.1,
        "half": np.arange(count) % 2 + 1,
    }
    particles = make_particles(count, pixel_size=pixel_size, size=size, **{**known, **columns})
    volume, grid = asymmetric_molecule(), FourierGrid(size, pixel_size)
    latents = Latents(
        jnp.zeros((count, 0)),
        jnp.asarray(particles.rotation),
        jnp.asarray(particles.shift),
        jnp.ones(count),
    )
    draw = jax.jit(jax.vmap(lambda l, o: grid.to_image(render(volume, l, o, grid))))
    clean = np.asarray(draw(latents, Optics.from_columns(particles.optics())), np.float32)
    pixels = clean + noise * clean.std() * rng.normal(size=clean.shape).astype(np.float32)
    return Images(particles, pixels, volume)


@pytest.fixture(autouse=True, scope="module")
def two_devices():
    """As several devices as are needed to share images out. Sums of two come in one order: runs
    can be compared bit by bit."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "device_count", lambda: 2)
        yield


@pytest.fixture(scope="session")
def images():
    """400 images of 32 pixels, noise of half the images' deviation."""
    return simulate()


@pytest.fixture(scope="session")
def star(images, tmp_path_factory):
    """The path of their STAR file."""
    return images.write(tmp_path_factory.mktemp("data"))


DRIVER = """
import json, logging, sys
from pathlib import Path
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
from cryojax_het.commands.reconstruct import ReconstructConfig, reconstruct
options = json.loads(sys.argv[1])
{before}
for name in ("particles", "output"):
    options[name] = Path(options[name])
print(json.dumps(reconstruct(ReconstructConfig(**options), ["reconstruct", *sys.argv[1:]])))
"""


def environment():
    """Of a subprocess: the package of this tree, CPU, and the tests' compilation cache, of small
    programs too: the same command runs in several processes."""
    added = {
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return {**os.environ, **added}


def start(particles, output, before="", **options):
    """The command in a process of its own, as a user runs it: float32, no run-time type checks."""
    given = {"particles": str(particles), "output": str(output), "devices": 1, **options}
    code = DRIVER.format(before=before)
    return subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(given)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process):
    """Exit status, standard output, standard error."""
    out, err = process.communicate()
    return process.returncode, out, err


@contextmanager
def stopped(module, name, calls):
    """The run within ends when the function `name` of `module` has returned so many times, as that
    of a killed process does: what comes next finds what is on disk."""
    kept, left = getattr(module, name), calls

    def last(*arguments):
        nonlocal left
        found = kept(*arguments)
        left -= 1
        if not left:
            raise KeyboardInterrupt
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, last)
        with pytest.raises(KeyboardInterrupt):
            yield


@pytest.fixture
def float32():
    """As users run it: JAX in single precision."""
    with jax.enable_x64(False):
        yield


def simulated_hinge(folder, count, size, pixel_size, snr=0.5):
    """`count` images of a hinged molecule."""
    wanted = {"count": count, "size": size, "pixel_size": pixel_size}
    return run_simulation(Simulation(output=folder, hinge=(-50.0, 50.0), snr=snr, **wanted))


@pytest.fixture(scope="session")
def hinged(tmp_path_factory):
    """240 images of a hinged molecule, 16 pixels of 13.5 Å."""
    return simulated_hinge(tmp_path_factory.mktemp("hinged"), 240, 16, 13.5, snr=2.0)


def first_of(star, count):
    """The path of a STAR file, beside it, of its first images: programs are those of all, and few
    of them run."""
    lines = star.read_text().splitlines()
    left_out = {
        line for line in lines if "@" in line and int(line.split("@")[0].split()[-1]) > count
    }
    path = star.with_name(f"first_{count}.star")
    path.write_text("\n".join(line for line in lines if line not in left_out) + "\n")
    return path


@pytest.fixture(scope="session")
def finely_hinged(tmp_path_factory):
    """As many, 24 pixels of 9 Å."""
    return simulated_hinge(tmp_path_factory.mktemp("finely_hinged"), 240, 24, 9.0, snr=2.0)


@pytest.fixture(scope="session")
def first_hinged(hinged):
    """The path of a STAR file of 96 of the hinged molecule's images."""
    return first_of(hinged.particles, 96)


def latents_of(folder, name="conformation"):
    """An array of the latents of a run."""
    return np.asarray(RunFolder(folder).latents().read(name))
