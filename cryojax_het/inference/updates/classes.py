"""EM for classes: least squares for all volumes from softly shared images, and the populations.

    V_k = V̄ + (B_k - L_k V̄) / (L_k + 1/τ_k²),   π_k ∝ Σ_i r_ik + α - 1

Full EM sees all images between two solutions, the stochastic variant (`online_classes.py`) a few.
Dempster, Laird & Rubin 1977; for cryo-EM: Scheres et al. 2007, Nat. Methods 4:27.
"""

import abc
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float

from ...imaging.image import Latents
from ...volumes.classes import ClassVolumes
from ...volumes.kernel import Kernel, quadratic
from ..class_prior import class_count, class_prior
from ..model import Model
from ..posterior import ClassBelief, Point
from ..posteriors.classes import ClassesAtPose
from ..update import AbstractUpdate
from .class_equations import ClassEquations, ClassSignal
from .on_devices import add_on_devices, empty_sums


class ClassSums(eqx.Module):
    """Over images: normal equations of each class, and its members `Σ_i r_ik`."""

    equations: ClassEquations
    members: Float[Array, "*p k"]

    def plus(self, other: "ClassSums") -> "ClassSums":
        """The sums over both sets of images."""
        return jax.tree.map(jnp.add, self, other)


class ClassState(eqx.Module):
    """Sums of each device, `[device, ...]`, and the priors of the volumes."""

    sums: ClassSums
    signal: ClassSignal


State = TypeVar("State", bound=Any)  # with `sums` and `signal`


class AbstractClassUpdate(AbstractUpdate[State]):
    """What full and stochastic EM share, for volumes of `size` voxels on every device of `mesh`.

    - `mask`: `[n, n, n]`, multiplies the volume of each class.

    Takes `ClassBelief`, or a `Point` whose conformation holds the class weights. `TypeError` for
    other posteriors.
    """

    spacing: Float[Array, ""]  # Å per voxel
    mask: Float[Array, "n n n"]
    size: int = eqx.field(static=True)
    mesh: Mesh = eqx.field(static=True)
    kernel: Kernel = eqx.field(static=True, default=quadratic())

    @abc.abstractmethod
    def closed(self, state: State) -> State:
        """`state` with all images of the pass in what `total` gives."""

    @abc.abstractmethod
    def total(self, state: State) -> ClassSums:
        """Of a closed state, the sums over devices that the volumes are solved from."""

    @abc.abstractmethod
    def opened(self, state: State, signal: ClassSignal) -> State:
        """A closed state as the next pass begins, with these priors."""

    def empty(self, model: Model) -> ClassSums:
        """No image yet, `[device, ...]`."""
        count = class_count(model.volume.latent_size)
        kind = self.spacing.dtype

        def make():
            equations = ClassEquations.zeros(count, self.size, self.kernel, kind)
            return ClassSums(equations, jnp.zeros(count, kind))

        return empty_sums(self.mesh, make)

    def no_prior(self, model: Model) -> ClassSignal:
        """Whatever the images say."""
        count = class_count(model.volume.latent_size)
        return ClassSignal.unlimited(count, self.size, self.spacing.dtype)

    def step(self, model, state, batch, grid, key):
        """Adds a batch to the sums."""

        def add(sums, posterior, batch, model, grid):
            equations, members = sums.equations, sums.members
            poses, shares = shared_out(posterior, sums.equations.count)
            for number in range(shares.shape[1]):
                pose = jax.tree.map(lambda x, p=number: x[:, p], poses)
                share = shares[:, number]
                setting = (grid, self.spacing)
                equations = equations.add(batch, pose, share, model.noise, setting)
                members = members + batch.weight @ share
            return ClassSums(equations, members)

        sums, posterior = add_on_devices(self.mesh, add, state.sums, batch, model, grid, key)
        state = eqx.tree_at(lambda s: s.sums, state, sums)
        return model, state, posterior, {"images": jnp.sum(batch.weight)}

    def sweep(self, model, state):
        """The model with new volumes and populations, and a state without images."""
        state = self.closed(state)
        model = self.solved(model, self.total(state), state.signal)
        return model, self.opened(state, state.signal)

    def solved(self, model: Model, sums: ClassSums, signal: ClassSignal) -> Model:
        """The model with the volumes and populations that `sums` give."""
        voxels = sums.equations.solve(self.spacing, signal) * self.mask
        volume = ClassVolumes(voxels=voxels, spacing=self.spacing, kernel=self.kernel)
        prior = class_prior(model.prior, sums.equations.count).updated(sums.members)
        return eqx.tree_at(lambda m: (m.volume, m.prior), model, (volume, prior))


class Classes(AbstractClassUpdate[ClassState]):
    """Full EM: volumes from all images of a pass."""

    def init(self, model: Model) -> ClassState:
        """Empty sums, and no prior."""
        return ClassState(self.empty(model), self.no_prior(model))

    def closed(self, state):
        return state

    def total(self, state):
        return jax.tree.map(lambda x: x.sum(axis=0), state.sums)

    def opened(self, state, signal):
        return ClassState(jax.tree.map(jnp.zeros_like, state.sums), signal)


def shared_out(posterior, count: int) -> tuple[Latents, Float[Array, "b p k"]]:
    """The poses `[b, p]` of each image and its share in each class at each of them."""
    if isinstance(posterior, ClassBelief):
        return posterior.latents, jnp.exp(posterior.log_weight)
    if isinstance(posterior, Point):
        poses = jax.tree.map(lambda x: x[:, None], posterior.latents)
        given = poses.conformation
        return poses, given if given.shape[-1] else jnp.ones((*given.shape[:2], count))
    raise TypeError(
        f"Classes are updated from a `ClassBelief` or a `Point`. Got {type(posterior).__name__}."
    )


def example_model(voxels, noise, prior) -> Model:
    """Two classes: a volume, and a copy of it moved by two voxels."""
    both = jnp.stack([voxels.voxels, jnp.roll(voxels.voxels, 2, axis=0)])
    return Model(ClassVolumes(both, voxels.spacing), noise, prior, ClassesAtPose())


def example(voxels, noise, prior, mesh) -> tuple[Classes, Model]:
    """For the laws of updates."""
    mask = jnp.ones_like(voxels.voxels)
    update = Classes(voxels.spacing, mask, len(mask), mesh)
    return update, example_model(voxels, noise, prior)
