"""How displacements by networks are kept in a file."""

from collections.abc import Mapping
from typing import Any, final

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ..volumes.anchors import Anchors
from ..volumes.atom_codes import PositionalEncoding
from ..volumes.neural_amplitudes import neural_amplitudes
from ..volumes.neural_displacement import neural_displacement
from ..volumes.neural_motions import NeuralMotions, neural_motions
from ..volumes.rigid_segments import RigidSegments
from ..volumes.scaled_modes import ScaledModes
from ..volumes.segments import HardSegments, SoftSegments
from ..volumes.skinning import LinearMotions
from .movement import AbstractMovement
from .network_weights import any_key, filled, weight_arrays

_PREFIX = "weights"


@final
class ByAnchors(AbstractMovement):
    """Anchors that follow a network."""

    def arrays(self, displacement):
        own = {"centres": displacement.centres, "reach": displacement.reach}
        return _host(own) | weight_arrays(_network_of(displacement).parameters, _PREFIX)

    def about(self, displacement):
        return _about_motions(_network_of(displacement))

    def restored(self, arrays, about):
        motion = _motions(arrays, about)
        return Anchors(jnp.asarray(arrays["centres"]), jnp.asarray(arrays["reach"]), motion)


@final
class ByAmplitudes(AbstractMovement):
    """Occupancies by a network beside another displacement, which `kept` tells how to keep."""

    def __init__(self, kept: Mapping[type, AbstractMovement]):
        self.kept = kept

    def arrays(self, displacement):
        inner = self._of(displacement.displacement).arrays(displacement.displacement)
        own = _host({"centres": displacement.centres, "reach": displacement.reach})
        own |= weight_arrays(displacement.parameters, _PREFIX)
        return own | {f"inner.{name}": value for name, value in inner.items()}

    def about(self, displacement):
        network, inner = displacement.network, displacement.displacement
        return {
            "layers": [network.width, network.depth],
            "inner": type(inner).__name__,
            "moved": self._of(inner).about(inner),
        }

    def restored(self, arrays, about):
        known = {kind.__name__: movement for kind, movement in self.kept.items()}
        inside = {
            name.removeprefix("inner."): value
            for name, value in arrays.items()
            if name.startswith("inner.")
        }
        inner = known[about["inner"]].restored(inside, about["moved"])
        centres, reach = jnp.asarray(arrays["centres"]), jnp.asarray(arrays["reach"])
        both = neural_amplitudes(any_key(), inner, centres, reach, tuple(about["layers"]))
        return eqx.tree_at(lambda b: b.parameters, both, filled(both.parameters, _PREFIX, arrays))

    def _of(self, displacement) -> AbstractMovement:
        if type(displacement) not in self.kept:
            raise TypeError(f"Occupancies beside {type(displacement).__name__} cannot be kept.")
        return self.kept[type(displacement)]


@final
class ByScaledModes(AbstractMovement):
    """Directions and their widths."""

    def arrays(self, displacement):
        return _host({name: getattr(displacement, name) for name in ("vectors", "log_width")})

    def about(self, displacement):
        return {}

    def restored(self, arrays, about):
        return ScaledModes(jnp.asarray(arrays["vectors"]), jnp.asarray(arrays["log_width"]))


@final
class BySegments(AbstractMovement):
    """Stretches of the chain that follow a network, or regions that follow modes."""

    def arrays(self, displacement):
        held, motion = displacement.segments, displacement.motion
        if isinstance(held, HardSegments) and isinstance(motion, LinearMotions):
            own = {"segment": held.segment, "turns": motion.turns, "shifts": motion.shifts}
            return _host(own)
        if not isinstance(held, SoftSegments):
            raise TypeError(f"{type(held).__name__} moved by a network cannot be kept.")
        own = {name: getattr(held, name) for name in ("place", "centre", "log_extent")}
        return _host(own) | weight_arrays(_network_of(displacement).parameters, _PREFIX)

    def about(self, displacement):
        held = displacement.segments
        if isinstance(held, HardSegments):
            return {"regions": held.count}
        return _about_motions(_network_of(displacement)) | {"temperature": held.temperature}

    def restored(self, arrays, about):
        if "regions" in about:
            segments = HardSegments(jnp.asarray(arrays["segment"]), about["regions"])
            motion = LinearMotions(jnp.asarray(arrays["turns"]), jnp.asarray(arrays["shifts"]))
            return RigidSegments(segments, motion)
        place, centre, extent = (
            jnp.asarray(arrays[name]) for name in ("place", "centre", "log_extent")
        )
        held = SoftSegments(place, centre, extent, about["temperature"])
        return RigidSegments(held, _motions(arrays, about))


@final
class ByNetwork(AbstractMovement):
    """Each Gaussian by its place."""

    def arrays(self, displacement):
        return weight_arrays(displacement.parameters, _PREFIX)

    def about(self, displacement):
        network, code = displacement.network, displacement.code
        if not isinstance(code, PositionalEncoding):
            raise TypeError(f"A network of {type(code).__name__} cannot be kept.")
        return {
            "layers": [network.width, network.depth],
            "latent": displacement.latent_size,
            "scale": list(displacement.scale),
            "code": [code.longest, code.count],
        }

    def restored(self, arrays, about):
        some = jnp.zeros((1, 3), jnp.float32)
        code, layers, scale = (tuple(about[name]) for name in ("code", "layers", "scale"))
        encoding = PositionalEncoding(*code)
        field = neural_displacement(any_key(), encoding, some, about["latent"], layers, scale)
        return eqx.tree_at(lambda f: f.parameters, field, filled(field.parameters, _PREFIX, arrays))


def _network_of(displacement: Anchors | RigidSegments) -> NeuralMotions:
    motion = displacement.motion
    if not isinstance(motion, NeuralMotions):
        kind = type(displacement).__name__
        raise TypeError(f"{kind} moved by {type(motion).__name__} cannot be kept.")
    return motion


def _about_motions(motion: NeuralMotions) -> dict[str, Any]:
    network = motion.network
    return {
        "layers": [network.width, network.depth],
        "latent": motion.latent_size,
        "bodies": network.outputs // 6,
        "units": [motion.angle, motion.shift],
    }


def _motions(arrays, about) -> NeuralMotions:
    layers, units = tuple(about["layers"]), tuple(about["units"])
    motion = neural_motions(any_key(), about["bodies"], about["latent"], layers, units)
    return eqx.tree_at(lambda m: m.parameters, motion, filled(motion.parameters, _PREFIX, arrays))


def _host(arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return {name: np.asarray(value) for name, value in arrays.items()}
