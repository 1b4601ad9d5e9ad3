"""What a run was: facts at a glance, and its record in full."""

import shlex
import time
from typing import Any

from ..results.config import format_toml
from ..results.run import RunFolder

_SHOWN = 14  # numbers of a summary at a glance
_UNITS = {"resolution": "Å", "pixel_size": "Å", "box": "pixels", "seconds": "s", "cutoff": "Å"}
_UNITS |= {"displacement": "Å", "largest_displacement": "Å", "log_likelihood": "nats per image"}


def run_facts(run: RunFolder, method: str) -> list[tuple[str, Any]]:
    """Names and values: method, status, time, and the numbers of the run's summary."""
    record = run.record()
    facts: list[tuple[str, Any]] = [("method", method), ("status", record["status"])]
    facts.append(("started", record["started"][:16].replace("T", " ") + " UTC"))
    summary = record.get("summary") or {}
    took = summary.get("seconds") or _between(record)
    if took is not None:
        facts.append(("took", _duration(took)))
    facts.append(("seed", str(record["seed"])))
    numbers = {
        name: value
        for name, value in summary.items()
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and name not in ("seconds", "seed")
    }
    for name, value in list(numbers.items())[:_SHOWN]:
        unit = _UNITS.get(next((k for k in _UNITS if name.startswith(k)), ""))
        label = name.replace("_", " ")
        facts.append((f"{label} ({unit})" if unit else label, value))
    return facts


def _between(record) -> float | None:
    if "finished" not in record:
        return None
    seconds = lambda text: time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))
    return seconds(record["finished"]) - seconds(record["started"])


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def record_section(run: RunFolder) -> dict[str, Any]:
    """The section with command, inputs, versions and settings."""
    record = run.record()
    inputs = [[entry["path"], entry["bytes"], entry["modified"]] for entry in record["inputs"]]
    versions = [[name, version] for name, version in record["versions"].items()]
    machine = [["host", record.get("host", "")], ["devices", ", ".join(record.get("devices", []))]]
    tables = [
        {"title": "Inputs", "head": ["file", "bytes", "modified"], "rows": inputs},
        {"title": "Versions and machine", "head": ["", ""], "rows": versions + machine},
    ]
    resumed = [[entry["time"], shlex.join(entry["command"])] for entry in record.get("resumed", [])]
    if resumed:
        tables.append({"title": "Taken up again", "head": ["time", "command"], "rows": resumed})
    return {
        "id": "record",
        "title": "Record",
        "tables": tables,
        "text": f"# {run.path / 'config.toml'}\n{format_toml(run.config())}",
    }


def command_line(run: RunFolder) -> str:
    """The exact command of the run."""
    return shlex.join(run.record()["command"])
