"""Runs of another program, stage by stage: each a child process, timed, its memory measured.

`OUT/peer.json` is rewritten after every stage, so that a run that was cut off goes on: a stage
whose product is there already is not run again. Standard library only.
"""

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

LOG_TAIL = 15  # lines of the log shown after a failure


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One child process that ended well: its command line, wall and CPU time in s (all threads)
    and the largest resident memory in GB."""

    name: str
    command: list[str]
    seconds: float
    cpu_seconds: float
    peak_gb: float


@dataclass(kw_only=True)
class PeerRun:
    """A folder `output` with the record of one peer on one data set.

    - `settings`: what the result depends on; a folder made with others is refused;
    - `environment`: variables added for the children;
    - `about`: versions, what was cut, corrections: whatever a reader of the table must know.
    """

    output: Path
    peer: str
    settings: dict
    environment: dict[str, str] = field(default_factory=dict)
    about: dict = field(default_factory=dict)
    stages: list[Stage] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.output / "work").mkdir(parents=True, exist_ok=True)
        if self.record.exists():
            held = json.loads(self.record.read_text())
            if held["settings"] != json.loads(json.dumps(self.settings)):
                sys.exit(f"{self.output} holds a run with other settings: give another folder.")
            self.stages = [Stage(**stage) for stage in held["stages"]]

    @property
    def record(self) -> Path:
        """Where the record lies."""
        return self.output / "peer.json"

    @property
    def work(self) -> Path:
        """The peer's own files."""
        return self.output / "work"

    def stage(self, name: str, command: list, product: Path) -> None:
        """Run `command` until `product` is there, unless it is; its output goes to a log.

        Exits with the end of the log where the command fails or leaves no product.
        """
        if product.exists():
            return
        words = [str(word) for word in command]
        log = self.work / f"{name}.log"
        began = time.monotonic()
        with open(log, "w") as sink:
            process = subprocess.Popen(
                words, stdout=sink, stderr=sink, env=os.environ | self.environment
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode or not product.exists():
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_TAIL:])
            sys.exit(f"{self.peer}, stage {name}: exit status {process.returncode}\n{tail}")
        self._add(name, words, time.monotonic() - began, usage)

    def _add(self, name: str, words: list[str], seconds: float, usage) -> None:
        stage = Stage(
            name=name,
            command=words,
            seconds=round(seconds, 1),
            cpu_seconds=round(usage.ru_utime + usage.ru_stime, 1),
            peak_gb=round(usage.ru_maxrss * 1024 / 1e9, 2),
        )
        self.stages = [s for s in self.stages if s.name != name] + [stage]
        self.write()
        print(f"{self.peer}: {name}, {seconds:.0f} s, {stage.peak_gb} GB", flush=True)

    def write(self) -> None:
        """Write the record."""
        record = {
            "peer": self.peer,
            "settings": self.settings,
            "environment": self.environment,
            **self.about,
            "seconds": round(sum(s.seconds for s in self.stages), 1),
            "cpu_seconds": round(sum(s.cpu_seconds for s in self.stages), 1),
            "peak_gb": max((s.peak_gb for s in self.stages), default=0.0),
            "stages": [asdict(stage) for stage in self.stages],
        }
        self.record.write_text(json.dumps(record, indent=1) + "\n")


def versions(python: Path, packages: list[str]) -> dict[str, str]:
    """Versions of packages in the environment of an interpreter, and its own."""
    code = (
        "import sys, json, platform, importlib.metadata as m\n"
        "found = {name: m.version(name) for name in sys.argv[1:]}\n"
        "print(json.dumps({'python': platform.python_version(), **found}))"
    )
    answer = subprocess.run(
        [str(python), "-c", code, *packages], check=True, capture_output=True, text=True
    )
    return json.loads(answer.stdout)
