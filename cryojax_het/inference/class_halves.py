"""How much signal each class has, shell by shell, from what two half-sets say of it.

Both half-sets are shared out by the same volumes, so that a class is the same class in both; each
lays down its own half-map. `F = FSC` of these gives `1/(τ²⟨L⟩) = (1 - F)/(2F)` of their sum.
"""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .updates import wiener
from .updates.class_equations import ClassSignal
from .updates.classes import ClassSums


class ClassHalves(eqx.Module):
    """Half-maps of each class without prior, masked, and FSC: of each class, of its departure from
    the mean of all images, and of that mean."""

    halves: Float[Array, "2 k n n n"]
    fsc: Float[Array, "k s"]
    departure: Float[Array, "k s"]
    common: Float[Array, " s"]


class AbstractSignalRule(eqx.Module):
    """How the agreement of half-maps becomes the priors of the volumes."""

    @abc.abstractmethod
    def signal(self, halves: ClassHalves) -> ClassSignal:
        """The priors of the sum of two half-sets."""


class OfClasses(AbstractSignalRule):
    """Each class's own FSC limits how far it departs from the mean.

    For the first passes: random subsets do not depart from the mean by anything that half-sets
    agree upon, and would be held there.
    """

    def signal(self, halves):
        return ClassSignal(noise_to_signal(halves.common), noise_to_signal(halves.fsc))


class OfDepartures(AbstractSignalRule):
    """What half-sets agree upon of a departure limits it.

    Without this the images keep a class what it is by their own noise in it: each is laid down in
    its class, and then found to suit it.
    """

    def signal(self, halves):
        return ClassSignal(noise_to_signal(halves.common), noise_to_signal(halves.departure))


def compare_classes(
    sums: tuple[ClassSums, ClassSums], mask: Float[Array, "n n n"], spacing: Float[Array, ""]
) -> ClassHalves:
    """From the sums of two half-sets."""
    first = sums[0].equations
    none = ClassSignal.unlimited(first.count, first.size, spacing.dtype)
    halves = jnp.stack([one.equations.solve(spacing, none) * mask for one in sums])
    means = [wiener.solve(one.equations.common(spacing), none.common) * mask for one in sums]
    correlate = lambda pair: shell_correlation(*pair)
    return ClassHalves(
        halves=halves,
        fsc=jax.lax.map(correlate, (halves[0], halves[1])),
        departure=jax.lax.map(correlate, (halves[0] - means[0], halves[1] - means[1])),
        common=shell_correlation(*means),
    )


def noise_to_signal(fsc: Float[Array, "*k s"]) -> Float[Array, "*k s"]:
    """`1/(τ²⟨L⟩)` of the sum of two half-sets, from curves.

    A curve counts up to its first fall to 0 or below: what rises again there is chance. Shell 0, a
    mean that images hardly tell, takes the value of shell 1.
    """
    rest = jnp.where(jnp.cumprod(fsc[..., 1:] > 0, axis=-1) > 0, fsc[..., 1:], 0)
    each = jnp.vectorize(wiener.noise_to_signal, signature="(s)->(s)")
    return each(jnp.concatenate([rest[..., :1], rest], axis=-1))


def shell_correlation(
    first: Float[Array, "n n n"], second: Float[Array, "n n n"]
) -> Float[Array, " s"]:
    """FSC of two maps in shells 0 to n//2; 0 where either is empty."""
    n = first.shape[0]
    shells, inside = wiener.shells_inside(n, n)
    # Of the conjugate pairs, those off the plane kx = 0 are stored once.
    double = jnp.where(jnp.arange(n // 2 + 1) > 0, 2.0, 1.0).astype(first.dtype)
    a, b = jnp.fft.rfftn(first), jnp.fft.rfftn(second)
    mean = lambda x: wiener.shell_mean(double * x, shells, inside, n)
    power = mean(jnp.abs(a) ** 2) * mean(jnp.abs(b) ** 2)
    common = mean((a * b.conj()).real)
    return jnp.where(power > 0, common / jnp.sqrt(jnp.where(power > 0, power, 1)), 0)
