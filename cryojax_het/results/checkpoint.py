"""Checkpoints: the arrays of a pytree by path, a note in JSON, in a folder named by the step.

Leaves are found by path, never by position: two fields of one shape cannot change places.
"""

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .disk import explained, flush, sync_folder

FORMAT = 1


def save_checkpoint(
    folder: Path, step: int, tree: Any, note: Mapping[str, Any] | None = None, keep: int = 2
) -> Path:
    """Write `<folder>/<step, six digits>/` and remove all but the newest `keep`.

    - `tree`: any pytree; arrays, numbers and PRNG keys are stored, other leaves (functions) are
      left to the template that `load_checkpoint` gets.
    - `note`: small JSON values beside it (position in the data, name of the phase).

    The folder appears under its name only when the disk has all of it. In a run of several
    processes one of them saves, and the arrays must be replicated. Raises `OSError`.
    """
    final_name = folder / f"{step:06d}"
    temporary = folder / f".{step:06d}.{secrets.token_hex(4)}.part"
    leaves = _stored_leaves(tree)
    about = {"format": FORMAT, "step": step, "note": dict(note or {})}
    about["leaves"] = {k: [list(v.shape), str(v.dtype)] for k, v in leaves.items()}
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        temporary.mkdir()
        try:
            with open(temporary / "arrays.npz", "wb") as file:
                np.savez(file, *map(_bytes_view, leaves.values()), allow_pickle=False)
                flush(file.fileno(), file)
            with open(temporary / "checkpoint.json", "w", encoding="utf-8") as file:
                json.dump(about, file, indent=1)
                flush(file.fileno(), file)
            sync_folder(temporary)
            if final_name.exists():
                os.rename(final_name, temporary.with_suffix(".old.part"))
            os.rename(temporary, final_name)
            sync_folder(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _prune(folder, keep)
    return final_name


def latest_checkpoint(folder: Path) -> Path | None:
    """The checkpoint of the highest step in `folder`; None where there is none."""
    found = _checkpoints(folder)
    return found[-1] if found else None


def checkpoint_step(path: Path) -> int:
    """The step at which the checkpoint was taken."""
    return int(_about(path)["step"])


def checkpoint_note(path: Path) -> dict[str, Any]:
    """The note saved with a checkpoint."""
    return _about(path)["note"]


def load_checkpoint(path: Path, template: Any) -> Any:
    """The pytree of the checkpoint `path`, in the structure of `template`.

    Raises `ValueError` naming the leaf where a path is missing or left over, or where a shape or
    dtype differs from the template's: the settings differ from those of the run.
    """
    about = _about(path)
    wanted = _stored_leaves(template)
    _compare_names(path, about["leaves"], wanted)
    arrays = {}
    with np.load(path / "arrays.npz") as stored:
        for number, (name, (shape, dtype)) in enumerate(about["leaves"].items()):
            like = wanted[name]
            if list(like.shape) != shape or str(like.dtype) != dtype:
                raise ValueError(
                    f"The checkpoint {path} has `{name}` as {dtype} {shape}, the run needs "
                    f"{like.dtype} {list(like.shape)}: it was made with other settings."
                )
            arrays[name] = stored[f"arr_{number}"].view(like.dtype).reshape(like.shape)
    return jax.tree_util.tree_map_with_path(
        lambda place, leaf: _restore(arrays.get(jax.tree_util.keystr(place)), leaf), template
    )


def _stored_leaves(tree: Any) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(k): _to_numpy(v) for k, v in leaves if _is_stored(v)}


def _is_stored(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float | complex)


def _to_numpy(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _bytes_view(array: np.ndarray) -> np.ndarray:
    # npz knows NumPy's own dtypes only; bfloat16 and its kin travel as bytes.
    plain = array.dtype.kind in "biufc" and array.dtype.isbuiltin == 1
    return array if plain else np.atleast_1d(array).view(np.uint8)


def _restore(array: np.ndarray | None, leaf: Any) -> Any:
    if array is None:
        return leaf
    if _is_key(leaf):
        return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(leaf))
    if isinstance(leaf, jax.Array):
        # What is bound to no device stays so, and can meet arrays on several.
        return jax.device_put(array, leaf.sharding) if leaf.committed else jnp.asarray(array)
    return array if isinstance(leaf, np.ndarray) else type(leaf)(array.item())


def _compare_names(path: Path, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    missing = [name for name in wanted if name not in stored]
    extra = [name for name in stored if name not in wanted]
    if missing or extra:
        parts = [f"lacks {', '.join(missing[:5])}"] if missing else []
        parts += [f"has {', '.join(extra[:5])}, which the run does not know"] if extra else []
        raise ValueError(
            f"The checkpoint {path} {' and '.join(parts)}: it was made with other settings."
        )


def _about(path: Path) -> dict[str, Any]:
    about = json.loads((path / "checkpoint.json").read_text())
    if about.get("format") != FORMAT:
        raise ValueError(f"{path} has the checkpoint format {about.get('format')}, not {FORMAT}.")
    return about


def _checkpoints(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted((p for p in folder.iterdir() if p.name.isdigit()), key=lambda p: int(p.name))


def _prune(folder: Path, keep: int) -> None:
    for old in _checkpoints(folder)[:-keep]:
        # Out of sight first: a kill in mid-removal must not leave half a checkpoint.
        os.rename(old, folder / f".{old.name}.old.part")
    # Those, and what a kill in mid-save left: one process saves, so none can be in use.
    for torn in folder.glob(".*.part"):
        shutil.rmtree(torn, ignore_errors=True)
