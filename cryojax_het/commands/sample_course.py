"""The sweeps of a sampling run: in parts, each put away, so that a run goes on where it was."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from ..imaging.image import Batch
from ..inference.devices import data_mesh, spread
from ..inference.gibbs.block import AbstractBlock, World
from ..inference.gibbs.local_moves import LocalMoves
from ..inference.gibbs.sampler import Gibbs, GibbsState
from ..inference.gibbs.starts import Starts, starts_from_modes
from ..inference.posteriors.gauss_newton import GaussNewton
from ..results.checkpoint import (
    checkpoint_step,
    latest_checkpoint,
    load_checkpoint,
    save_checkpoint,
)
from ..results.disk import write_arrays
from ..results.run import RunFolder
from .sample import SampleConfig

LOG = logging.getLogger("cryojax_het")
_PART = 25  # sweeps between checkpoints
_MEMORY = 4e8  # bytes of pixels of images that are moved at a time
_COPIES = 40  # of an image's pixels that a gradient holds

Draws = dict[str, np.ndarray]


def run_sweeps(
    config: SampleConfig,
    folder: RunFolder,
    world: World,
    blocks: tuple[AbstractBlock, ...],
) -> Draws:
    """Draws `[chain, draw, ...]` of all quantities: those that are left to be made are."""
    parts = list(_parts(config))
    starts, state, done = _taken_up(config, folder, world, blocks)
    sampler = _sampler(config, world, starts, blocks)
    advance = eqx.filter_jit(sampler.advance)
    total = config.warmup + config.draws
    sweeps = sum(size for size, _ in parts[:done])
    with tqdm(total=total, initial=sweeps, desc="sweeps", unit=" sweeps", file=sys.stderr) as bar:
        for number, (size, kept) in enumerate(parts[done:], start=done + 1):
            state, draws = advance(world, state, size)
            found = {k: np.asarray(v) for k, v in flat(draws).items()}
            if kept:
                _put_away(folder, number, found)
            folder.log(number, sweeps=int(state.count), **_said(found))
            save_checkpoint(folder.checkpoints, number, {"starts": starts, "state": state})
            bar.update(size)
    return _gathered(folder, [n for n, (_, kept) in enumerate(parts, start=1) if kept])


def flat(draws) -> dict[str, Any]:
    """Quantities of draws by name: values of parameters, `scaled`, `log_likelihood`, and words."""
    found = {f"value {name}": value for name, value in draws.values.items()}
    found |= {"scaled": draws.scaled, "log_likelihood": draws.log_likelihood}
    return found | {f"said {name}": value for name, value in draws.said.items()}


def _parts(config: SampleConfig) -> Iterator[tuple[int, bool]]:
    """Sweeps of each part, and whether they are draws."""
    for sweeps, kept in ((config.warmup, False), (config.draws, True)):
        yield from ((_PART, kept) for _ in range(sweeps // _PART))
        if sweeps % _PART:
            yield sweeps % _PART, kept


def _taken_up(config, folder, world, blocks) -> tuple[Starts, GibbsState, int]:
    path = latest_checkpoint(folder.checkpoints)
    if path is None:
        starts = _found_starts(config, world)
        return starts, _begun(config, world, starts, blocks), 0
    shapes = jax.eval_shape(lambda: _some_starts(config, world, world.batch))
    blank = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    template = {"starts": blank, "state": _begun(config, world, blank, blocks)}
    held = load_checkpoint(path, template)
    LOG.info("Taken up after %d sweeps.", int(held["state"].count))
    return held["starts"], held["state"], checkpoint_step(path)


def _found_starts(config: SampleConfig, world: World) -> Starts:
    """Modes of all images, some at a time."""
    count, size = len(world.batch.index), _chunk(config, world)
    made, found = eqx.filter_jit(_some_starts), []
    rows = np.arange(-(-count // size) * size).reshape(-1, size) % count
    for part in tqdm(rows, desc="modes", unit=f" x {size} images", file=sys.stderr):
        batch: Batch = jax.tree.map(lambda x, part=part: x[part], world.batch)
        found.append(made(config, world, batch))
    join = lambda axis: lambda *each: jnp.concatenate(each, axis)
    begin = join(1)(*(each.begin for each in found))[:, :count]
    rest = jax.tree.map(lambda *each: join(0)(*each)[:count], *(_rest(s) for s in found))
    return Starts(begin, *rest)


def _rest(starts: Starts):
    return starts.mixture, starts.variance


def _some_starts(config: SampleConfig, world: World, batch: Batch) -> Starts:
    values = world.joint.values(world.joint.start())
    part = World.of(world.joint, batch, world.grid)
    method = GaussNewton(world.joint.unknowns, config.starts)
    return starts_from_modes(jax.random.key(config.seed), part, values, method, config.chains)


def _begun(config, world, starts: Starts, blocks) -> GibbsState:
    values = world.joint.values(world.joint.start())
    each = jax.tree.map(lambda x: jnp.broadcast_to(x, (config.chains, *x.shape)), values)
    key = jax.random.fold_in(jax.random.key(config.seed), 1)
    state = _sampler(config, world, starts, blocks).begin(key, world, each, starts.begin)
    chains = spread(data_mesh(), (state.values, state.scaled, state.tuning, state.key))
    return GibbsState(chains[0], chains[1], chains[2], chains[3], state.count)


def _sampler(config, world, starts: Starts, blocks) -> Gibbs:
    chunk = _chunk(config, world)
    moves = LocalMoves(starts.mixture, starts.variance, config.leapfrogs, chunk=chunk)
    return Gibbs((moves, *blocks), config.warmup)


def _chunk(config: SampleConfig, world: World) -> int:
    count = len(world.batch.index)
    one = 4 * world.grid.size**2 * _COPIES * max(config.chains, config.starts)
    return min(count, config.batch or int(np.clip(_MEMORY / one, 4, 256)))


def _said(found: Draws) -> dict[str, float]:
    words = {k.removeprefix("said "): v for k, v in found.items() if k.startswith("said ")}
    said = {name: float(np.mean(value)) for name, value in words.items()}
    return said | {"log_likelihood": float(found["log_likelihood"].sum(axis=2).mean())}


def _put_away(folder: RunFolder, number: int, found: Draws) -> None:
    write_arrays(_place(folder, number), found)


def _gathered(folder: RunFolder, numbers: list[int]) -> Draws:
    parts = []
    for number in numbers:
        with np.load(_place(folder, number), allow_pickle=False) as file:
            parts.append(dict(file))
    join = lambda name: np.swapaxes(np.concatenate([part[name] for part in parts]), 0, 1)
    return {name: join(name) for name in parts[0]}


def _place(folder: RunFolder, number: int) -> Path:
    return folder.folder("draws") / f"{number:06d}.npz"
