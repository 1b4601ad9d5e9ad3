"""The course of one classification: a start, passes of EM from coarse to fine, empty classes."""

import logging
import sys
from dataclasses import dataclass, field
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from ..inference.class_prior import ClassPrior
from ..inference.class_reseeding import Emptiness, treat_empty
from ..inference.class_rounds import ClassTable, close_pass, infer_rows, run_class_pass
from ..inference.model import Model
from ..inference.posteriors.as_given import AsGiven
from ..inference.requirements import class_volumes
from ..particles.loader import HostLatents, split_rows
from ..volumes.classes import ClassVolumes
from .classes_setting import ClassesSetting, infer_batch
from .classes_start import first_shares

LOG = logging.getLogger("cryojax_het")


@final
@dataclass
class Course:
    """Where one fit stands.

    - `iteration`: passes done, the start not counted; -1 before it. `gained`: of the last passes at
      full detail, log-likelihood per image gained.
    """

    count: int
    seed: int
    model: Model
    states: list[Any] = field(repr=False)
    emptiness: Emptiness
    iteration: int = -1
    log_likelihood: float = float("nan")
    gained: tuple[float, ...] = ()

    def voxels(self) -> Float[np.ndarray, "k n n n"]:
        """Of each class."""
        return np.asarray(class_volumes(self.model.volume, "Course").voxels)

    def population(self) -> Float[np.ndarray, " k"]:
        """Of each class."""
        assert isinstance(self.model.prior, ClassPrior)
        return np.asarray(self.model.prior.population)

    def done(self, setting: ClassesSetting) -> bool:
        """Whether there is nothing more to do."""
        few = len(self.gained) >= 2 and max(self.gained[-2:]) < setting.config.tolerance
        return self.iteration >= setting.iterations or few


def model_of(setting: ClassesSetting, voxels, population) -> Model:
    """A model with these volumes and populations; its posterior is set by each pass."""
    spacing = setting.grid(setting.data.size).pixel_size
    volume = ClassVolumes(jnp.asarray(voxels, jnp.float32), spacing)
    prior = ClassPrior(jnp.asarray(population, jnp.float32), setting.pose_prior)
    return Model(volume, setting.noise, prior, AsGiven())


def new_course(setting: ClassesSetting, count: int, seed: int) -> Course:
    """Before the start."""
    size = setting.data.size
    model = model_of(setting, np.zeros((count, size, size, size)), np.full(count, 1 / count))
    images = int(np.count_nonzero(setting.half))
    emptiness = Emptiness.start(count, images, setting.config.smallest)
    states = [setting.update.init(model) for _ in range(2)]
    return Course(count, seed, model, states, emptiness)


def lay_down_start(setting: ClassesSetting, course: Course) -> None:
    """Volumes of the classes that images start in."""
    box = setting.box(0)
    loader = setting.loader(box)
    poses = loader.latents
    shares = first_shares(setting.config, len(poses.contrast), course.count, course.seed)
    loader.latents = HostLatents(shares, poses.rotation, poses.shift, poses.contrast)
    try:
        _round(
            setting, course, box, setting.algorithm.rounds(setting.half, loader.batch_size, 0, 0)
        )
    finally:
        loader.latents = poses
    course.iteration = 0


def one_pass(setting: ClassesSetting, course: Course) -> dict[str, Any]:
    """One pass of EM; what there is to say of it."""
    number = course.iteration + 1
    box = setting.box(number)
    posterior = setting.posterior(number)
    course.model = eqx.tree_at(lambda m: m.posterior, course.model, posterior)
    loader = setting.loader(box)
    table = ClassTable.empty(loader.latents, course.count)
    rounds = setting.algorithm.rounds(setting.half, loader.batch_size, course.seed, number)
    _round(setting, course, box, rounds, table)
    course.model = eqx.tree_at(lambda m: m.posterior, course.model, AsGiven())
    images = int(np.count_nonzero(setting.half))
    before = course.log_likelihood
    course.log_likelihood = table.mean_log_likelihood()
    full = number > setting.low_iterations + 1  # and so was the pass before
    course.gained = (*course.gained, course.log_likelihood - before) if full else ()
    course.iteration = number
    said = _treat_empty(course, images)
    shares = course.population()
    return {
        "classes": course.count,
        "seed": course.seed,
        "iteration": number,
        "box": box,
        "log_likelihood": course.log_likelihood,
        "population": shares.tolist(),
        "effective_classes": float(np.exp(-np.sum(shares * np.log(np.maximum(shares, 1e-30))))),
        "entropy": table.entropy(),
        "empty": said,
    }


def _treat_empty(course: Course, images: int) -> list[str]:
    course.emptiness = course.emptiness.after(course.population(), images)
    key = jax.random.fold_in(jax.random.key(course.seed), course.iteration)
    course.model, course.emptiness, said = treat_empty(course.model, course.emptiness, key)
    if said:
        course.gained = ()  # a class that was moved needs time
    for sentence in said:
        LOG.warning("Pass %d: %s.", course.iteration, sentence)
    return said


def _round(setting, course, box, rounds, table=None):
    """Passes over the batches of `rounds`, a solution after each."""
    loader, how = setting.loader(box), setting.how(setting.update, box)
    rule = setting.signal_rule(course.iteration + 1)
    total = sum(len(batch.rows) for plan in rounds for batch in plan)
    about = f"{course.count} classes, pass {course.iteration + 1}"
    hidden = jax.process_index() != 0
    with tqdm(total=total, desc=about, unit=" images", disable=hidden, file=sys.stderr) as bar:
        for plan in rounds:
            for done in run_class_pass(how, course.model, course.states, loader, plan, table):
                bar.update(done)
            closed = close_pass(setting.update, course.model, course.states, rule)
            course.model, course.states = closed[:2]


def held_out_log_likelihood(setting: ClassesSetting, course: Course) -> float | None:
    """Mean log-likelihood of the images kept apart, at full detail; None where there are none."""
    if not len(setting.held_out):
        return None
    box = setting.full_box
    loader, grid = setting.loader(box), setting.grid(box)
    volume = course.model.volume.prepare(grid)
    places = lambda m: (m.volume, m.posterior)
    model = eqx.tree_at(
        places, course.model, (volume, setting.posterior(setting.low_iterations + 1))
    )
    table = ClassTable.empty(loader.latents, course.count)
    rows = split_rows(setting.held_out, loader.batch_size)
    infer_rows(lambda model, batch: infer_batch(model, batch, grid), model, loader, rows, table)
    return table.mean_log_likelihood()
