"""Settings of a command from flags and a TOML file: the same names, the same meaning; flags win."""

import dataclasses
import types
import typing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union

from ..results.config import check_keys, read_toml
from ..results.replacing import set_aside, settle

Settings = TypeVar("Settings")


@dataclasses.dataclass(frozen=True, kw_only=True)
class General:
    """Options of every command."""

    config: Path | None = None
    """TOML file with any of the settings above; flags win over it."""
    debug: bool = False
    """Show the traceback of an error."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """Several processes, each with its own devices, working on one run."""

    distributed: bool = False
    """Start jax.distributed: under SLURM by itself, else with the three options below."""
    coordinator: str | None = None
    """host:port of process 0."""
    processes: int | None = None
    """Number of processes."""
    process_id: int | None = None
    """Number of this process, from 0."""

    def __post_init__(self):
        given = (self.coordinator, self.processes, self.process_id)
        if any(value is not None for value in given) and not self.distributed:
            raise ValueError("`--coordinator`, `--processes`, `--process-id` need `--distributed`.")
        if self.distributed and 0 < sum(value is None for value in given) < 3:
            raise ValueError(
                "`--distributed` takes all of `--coordinator HOST:PORT`, `--processes N` and "
                "`--process-id I`, or none of them under SLURM."
            )

    def start(self) -> None:
        """Join the other processes. Call before anything touches a device."""
        if self.distributed:
            import jax

            jax.distributed.initialize(self.coordinator, self.processes, self.process_id)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Replacing:
    """What happens to an earlier run in the output folder."""

    overwrite: bool = False
    """Replace an earlier run in the output folder by this one."""

    @contextmanager
    def around(self, output: Path) -> Iterator[None]:
        """Inside, an earlier run is out of the way where it is to be replaced; it comes back if
        nothing has taken its place at the end (a wrong input, say)."""
        if not self.overwrite:
            yield
            return
        aside = set_aside(output)
        try:
            yield
        finally:
            settle(output, aside)


def parse(
    settings: type[Settings],
    subject: str | None,
    arguments: Sequence[str],
    description: str,
    *others: type,
) -> tuple[Settings, tuple[Any, ...]]:
    """The settings that `arguments` (program and command first) and their `--config` ask for, and
    an instance of each of `others`. The field `subject` needs no flag; `-o` means `--output`.

    Shows help and exits where it is asked for; exits with code 2 where a flag is wrong. Raises
    `ValueError` for a wrong key or value in the TOML file, naming it.
    """
    import tyro

    shown = _with_short_forms(settings, subject)
    groups = [("settings", shown), *((group.__name__.lower(), group) for group in others)]
    line = dataclasses.make_dataclass("Line", groups)
    path = config_path(arguments[2:])
    given: dict[str, Any] = {}
    if path is not None:
        table = from_table(shown, read_toml(path), path)
        given = {"default": line(table, *(group() for group in others))}
    parsed: Any = tyro.cli(
        line,
        prog=" ".join(arguments[:2]),
        description=description,
        args=list(arguments[2:]),
        config=(tyro.conf.OmitArgPrefixes,),
        **given,
    )
    names = [field.name for field in dataclasses.fields(settings)]  # pyright: ignore
    values = {name: getattr(parsed.settings, name) for name in names}
    return settings(**values), tuple(getattr(parsed, name) for name, _ in groups[1:])


def _with_short_forms(settings: type[Settings], subject: str | None) -> type[Settings]:
    """A subclass that differs in annotations alone: settings themselves know of no command line."""
    import tyro

    hints = typing.get_type_hints(settings)
    marks = {"output": tyro.conf.arg(aliases=("-o",))}
    fields = []
    for field in dataclasses.fields(settings):  # pyright: ignore[reportArgumentType]
        kind = hints[field.name]
        if field.name in marks:
            kind = Annotated[kind, marks[field.name]]
        if field.name == subject:
            kind = tyro.conf.Positional[kind]
        if field.metadata.get("repeated"):
            kind = tyro.conf.UseAppendAction[kind]
        if field.metadata.get("file_only"):
            kind = tyro.conf.Suppress[tyro.conf.Fixed[kind]]
        same = dataclasses.field(default=field.default, default_factory=field.default_factory)
        fields.append((field.name, kind, same))
    return dataclasses.make_dataclass(
        settings.__name__, fields, bases=(settings,), frozen=True, kw_only=True
    )


def from_table(settings: type[Settings], table: dict[str, Any], origin: Path) -> Settings:
    """An instance of the dataclass `settings` with the values of a TOML table; fields that have
    neither value nor default are left for the flags."""
    import tyro

    check_keys(table, settings, origin)
    hints = typing.get_type_hints(settings)
    values = {}
    for field in dataclasses.fields(settings):  # pyright: ignore[reportArgumentType]
        if field.name in table:
            values[field.name] = _convert(table[field.name], hints[field.name], field.name, origin)
        elif field.default is field.default_factory is dataclasses.MISSING:
            values[field.name] = tyro.MISSING
    return settings(**values)


def _convert(value: Any, kind: Any, name: str, origin: Path) -> Any:
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) in (Union, types.UnionType):
        kinds = [k for k in arguments if k is not type(None)]
        return _convert(value, kinds[0], name, origin)
    if typing.get_origin(kind) is typing.Literal:
        if value in arguments:
            return value
        raise ValueError(
            f"{origin}: `{name}` must be one of {', '.join(map(str, arguments))}. Got {value!r}."
        )
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        return from_table(kind, value, origin)  # pyright: ignore[reportArgumentType]
    if typing.get_origin(kind) is tuple and isinstance(value, list):
        kinds = arguments[:1] * len(value) if Ellipsis in arguments else arguments
        if len(kinds) == len(value):
            return tuple(_convert(v, k, name, origin) for v, k in zip(value, kinds, strict=True))
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type) and type(value) is kind:
        return value
    wanted = getattr(kind, "__name__", str(kind))
    raise ValueError(f"{origin}: `{name}` must be {wanted}. Got {value!r}.")


def config_path(arguments: Sequence[str]) -> Path | None:
    """The file that `--config` names, if any."""
    for place, argument in enumerate(arguments):
        if argument == "--config" and place + 1 < len(arguments):
            return Path(arguments[place + 1])
        if argument.startswith("--config="):
            return Path(argument.removeprefix("--config="))
    return None
