"""The run folder: the one place that knows what a run leaves on disk, under which names.

```
run.json     format, command, versions, seed, devices, inputs, status    config.toml   settings
log.jsonl    one line of metrics per step          run.log       the same for people
latents/     rotation.npy ...: one row per image   volumes/      mean.mrc, half1.mrc ...
checkpoints/ 000010/                               plots/
```

Files appear under their final names only when they are whole. `status` in `run.json` is "running"
until `finish()`: nothing that was interrupted looks finished.
"""

import json
import logging
import os
import platform
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, final

import numpy as np
from jaxtyping import Float

from .. import __version__
from ..particles.mrc import MrcVolume, read_volume, write_volume
from .config import differences, format_toml, known_then, read_toml
from .disk import explained, write_text
from .latents import LatentTable
from .metrics import append_metrics, mark_taken_up, read_metrics

FORMAT = 1
_PACKAGES = ("jax", "jaxlib", "equinox", "flax", "optax", "numpyro", "numpy")


@final
@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What a run folder says of its origin.

    - `command`: the exact arguments, program first; `seed` of all random numbers;
    - `devices`: what computes, in words; `inputs`: the files read, noted with size and time.
    """

    command: Sequence[str]
    seed: int
    devices: Sequence[str] = ()
    inputs: Sequence[Path] = ()


@final
class RunFolder:
    """A run folder that exists. Analysis and reports read runs through this class alone.

    Raises `FileNotFoundError` where `path` is no run folder, `ValueError` where a newer format
    wrote it.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        if not (self.path / "run.json").is_file():
            raise FileNotFoundError(f"{path} is no run folder: it has no run.json.")
        found = self.record().get("format")
        if found != FORMAT:
            raise ValueError(
                f"{path} has the run format {found}; this version reads {FORMAT}. "
                "Use the version of cryojax_het named in its run.json."
            )

    def record(self) -> dict[str, Any]:
        """The content of `run.json`."""
        return json.loads((self.path / "run.json").read_text())

    def config(self) -> dict[str, Any]:
        """The settings, as `config.toml` has them."""
        return read_toml(self.path / "config.toml")

    @property
    def finished(self) -> bool:
        """Whether the run came to its end."""
        return self.record()["status"] == "finished"

    def check_finished(self) -> None:
        """`ValueError`, with the command that takes it up, where the run is not at its end."""
        if not self.finished:
            again = " ".join(self.record()["command"])
            raise ValueError(f"{self.path} is not finished: `{again}` takes it up where it was.")

    def finish(self, summary: Mapping[str, Any] | None = None) -> None:
        """Mark the run as finished; `summary` (numbers, strings) is kept in `run.json`."""
        record = self.record() | {"status": "finished", "finished": _now()}
        _write_record(self.path, record | {"summary": dict(summary or {})})

    def log(self, step: int, **values: Any) -> None:
        """Append one line of metrics (numbers, strings, lists) of `step` to `log.jsonl`."""
        with explained(self.path):
            append_metrics(self.path / "log.jsonl", {"step": step, "time": _now(), **values})

    def metrics(self) -> list[dict[str, Any]]:
        """All lines of `log.jsonl`, in order; steps redone after a kill appear once."""
        return read_metrics(self.path / "log.jsonl")

    def write_volume(self, name: str, volume: MrcVolume) -> Path:
        """Write `volumes/<name>.mrc`."""
        path = self.folder("volumes") / f"{name}.mrc"
        with explained(self.path):
            write_volume(path, volume)
        return path

    def volume(self, name: str) -> MrcVolume:
        """Read `volumes/<name>.mrc`."""
        return read_volume(self.path / "volumes" / f"{name}.mrc")

    def mask(self) -> Float[np.ndarray, "n n n"] | None:
        """Voxels of `volumes/mask.mrc`; None where the run left none."""
        there = (self.path / "volumes" / "mask.mrc").is_file()
        return self.volume("mask").data if there else None

    def latents(self) -> LatentTable:
        """Per-image estimates, by name."""
        return LatentTable(self.folder("latents"))

    @property
    def checkpoints(self) -> Path:
        """The folder that `save_checkpoint` and `latest_checkpoint` take."""
        return self.folder("checkpoints")

    def folder(self, name: str) -> Path:
        """The folder `name` ("volumes", "plots", "analysis") of this run, made where missing."""
        folder = self.path / name
        if not folder.is_dir():
            with explained(self.path):
                folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextmanager
    def logging(self) -> Iterator[None]:
        """Inside, messages of the logger `cryojax_het` are written to `run.log` too."""
        with explained(self.path):
            handler = logging.FileHandler(self.path / "run.log", encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger = logging.getLogger("cryojax_het")
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(min(logger.getEffectiveLevel(), logging.INFO))
        try:
            handler.handle(_command_message(self.record()))
            yield
        finally:
            logger.setLevel(level)
            logger.removeHandler(handler)
            handler.close()


def open_run(
    path: Path,
    config: Mapping[str, Any],
    record: RunRecord,
    defaults: Mapping[str, Any] | None = None,
) -> RunFolder:
    """Make the run folder `path`, or take up the one that is there with the same settings.

    - `config`: `config_table(settings)`, without what cannot change the result;
    - `defaults`: `default_table(settings)`: a setting that is at its default may be missing in the
      folder of an earlier version, which did not know it.

    Raises `FileExistsError` where `path` holds something else, or a run with other settings or
    other input files (each difference is named); `OSError` where it cannot be written.
    """
    path = Path(path)
    if (path / "run.json").is_file():
        return _take_up(path, config, record, defaults or {})
    if path.is_dir() and any(not p.name.startswith(".") for p in path.iterdir()):
        raise FileExistsError(
            f"{path} exists, is not empty and is no run folder: choose another output by `-o`."
        )
    with explained(path):
        path.mkdir(parents=True, exist_ok=True)
        write_text(path / "config.toml", format_toml(config))
        first = {"format": FORMAT, "status": "running", "started": _now()}
        first |= {"command": list(record.command), "seed": record.seed, "versions": _versions()}
        first |= {"host": platform.node(), "devices": list(record.devices)}
        first |= {"inputs": _describe(record.inputs), "resumed": []}
        # Last: a folder with a run.json has everything that a run needs to be taken up.
        _write_record(path, first)
    return RunFolder(path)


def _take_up(path: Path, config, record: RunRecord, defaults) -> RunFolder:
    run = RunFolder(path)
    remedy = "Choose another output by `-o`, or replace this run by `--overwrite`."
    changed = known_then(path / "config.toml", differences(run.config(), config), defaults)
    if changed:
        listing = "; ".join(f"`{key}` was {old!r}, now {new!r}" for key, old, new in changed)
        raise FileExistsError(f"{path} holds a run with other settings: {listing}. {remedy}")
    known = run.record()
    for old, new in zip(known["inputs"], _describe(record.inputs), strict=False):
        if old != new:
            raise FileExistsError(
                f"{path} holds a run whose input {old['path']} has changed since "
                f"({old['bytes']} bytes of {old['modified']}, now {new['bytes']} bytes of "
                f"{new['modified']}). {remedy}"
            )
    if not run.finished:
        with explained(path):
            mark_taken_up(path / "log.jsonl")
            again = {"time": _now(), "command": list(record.command), "versions": _versions()}
            _write_record(path, known | {"resumed": [*known["resumed"], again]})
    return run


def _describe(inputs: Sequence[Path]) -> list[dict[str, Any]]:
    described = []
    for path in map(Path, inputs):
        status = path.stat()
        modified = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(status.st_mtime))
        described.append(
            {"path": str(path.resolve()), "bytes": status.st_size, "modified": modified}
        )
    return described


def _versions() -> dict[str, str]:
    found = {"cryojax_het": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _command_message(record: Mapping[str, Any]) -> logging.LogRecord:
    # For the file alone: who gave the command at a terminal has it before their eyes.
    latest = record["resumed"][-1] if record["resumed"] else record
    text = f"Command: {shlex.join(latest['command'])}"
    return logging.LogRecord("cryojax_het", logging.INFO, __file__, 0, text, None, None)


def _write_record(path: Path, record: Mapping[str, Any]) -> None:
    with explained(path):
        write_text(path / "run.json", json.dumps(record, indent=1) + os.linesep)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
