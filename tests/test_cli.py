"""The command line as a user meets it: help, settings, errors, and each command on small data."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from cryojax_het.cli import COMMANDS, main
from cryojax_het.commands.inspect import InspectConfig, describe
from cryojax_het.commands.settings import Cluster, General, parse
from cryojax_het.particles.arrays import ArraySource, write_npz
from cryojax_het.particles.source import make_particles

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Nested:
    width: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Settings:
    particles: Path
    output: Path = Path("out")
    count: int = 3
    limit: float | None = None
    flag: bool = False
    files: tuple[Path, ...] = ()
    pair: tuple[float, float] = (0.0, 1.0)
    part: Nested = field(default_factory=Nested)


def settings_of(*arguments):
    return parse(Settings, "particles", ["cryojax-het", "test", *arguments], "", General)[0]


def test_every_command_shows_help_with_examples(capsys):
    assert main([]) == 0
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n  {name} " in text for name in COMMANDS)
    for name in COMMANDS:
        with pytest.raises(SystemExit) as end:
            main([name, "--help"])
        assert end.value.code == 0
        text = capsys.readouterr().out
        assert f"examples:\n  cryojax-het {name}" in text
        assert "--config" in text


@pytest.mark.parametrize("command", ["", "demo", "inspect", "reconstruct"])
def test_help_imports_no_jax(command):
    code = (
        "import sys\nfrom cryojax_het.cli import main\n"
        f"try: main([*{command.split()!r}, '--help'])\nexcept SystemExit: pass\n"
        "assert not {'jax', 'flax', 'numpyro', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_flags_and_toml_mean_the_same(tmp_path):
    flags = settings_of(
        "p.star", "-o", "run", "--count", "5", "--limit", "2", "--flag", "--files", "a", "b",
        "--pair", "1", "2", "--width", "4",
    )  # fmt: skip
    text = 'particles = "p.star"\noutput = "run"\ncount = 5\nlimit = 2\nflag = true\n'
    text += 'files = ["a", "b"]\npair = [1, 2.0]\n[part]\nwidth = 4\n'
    (tmp_path / "c.toml").write_text(text)
    assert settings_of("--config", str(tmp_path / "c.toml")) == flags
    assert settings_of(f"--config={tmp_path / 'c.toml'}") == flags
    assert flags.pair == (1.0, 2.0)


def test_flags_win_over_toml(tmp_path):
    (tmp_path / "c.toml").write_text('particles = "p.star"\ncount = 5\nlimit = 2.0\n')
    config = ("--config", str(tmp_path / "c.toml"))
    changed = settings_of("q.star", "--count", "7", "--limit", "None", *config)
    assert changed == Settings(particles=Path("q.star"), count=7)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cuont = 1", "unknown key `cuont`. Did you mean `count`?"),
        ("[part]\nwdith = 1", "Did you mean `width`?"),
        ("count = 1.5", "`count` must be int. Got 1.5."),
        ("flag = 1", "`flag` must be bool. Got 1."),
        ("pair = [1, 2, 3]", "`pair` must be"),
        ('files = "a"', "`files` must be"),
        ("count = = 1", "is not valid TOML"),
    ],
)
def test_wrong_toml_is_named(tmp_path, text, words):
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(ValueError, match=r"c\.toml") as error:
        settings_of("--config", str(tmp_path / "c.toml"))
    assert words in str(error.value)


def test_wrong_flags_exit_with_2(capsys):
    with pytest.raises(SystemExit) as end:
        settings_of("p.star", "--cuont", "1")
    assert end.value.code == 2
    assert "--count" in capsys.readouterr().err


def test_cluster_options_belong_together():
    all_of_them = {"coordinator": "localhost:1234", "processes": 2, "process_id": 0}
    Cluster(distributed=True, **all_of_them)
    Cluster(distributed=True)
    with pytest.raises(ValueError, match="need `--distributed`"):
        Cluster(processes=2)
    with pytest.raises(ValueError, match="takes all of"):
        Cluster(distributed=True, processes=2)


def test_general_options_reach_every_command():
    _, (general,) = parse(
        Settings, "particles", ["cryojax-het", "test", "p.star", "--debug"], "", General
    )
    assert general.debug


def test_errors_are_one_line_and_code_2(tmp_path, capsys):
    assert main(["inspect", str(tmp_path / "no.star")]) == 2
    error = capsys.readouterr().err
    assert error == f"cryojax-het: error: {tmp_path / 'no.star'} does not exist.\n"
    assert main(["inspect", str(tmp_path / "no.star"), "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err
    assert main(["reconstrct"]) == 2
    assert "Did you mean `reconstruct`?" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        main(["reconstruct", "a.star", "-o", "b", "--passes", "0"])
    assert end.value.code == 2
    assert "`--passes` must be at least 1" in capsys.readouterr().err
    assert main(["--version"]) == 0


def small_particles(path, count=40, size=16, **columns):
    rng = np.random.default_rng(0)
    quaternion = rng.normal(size=(count, 4))
    from scipy.spatial.transform import Rotation

    known = {"rotation": Rotation.from_quat(quaternion).as_matrix(), "pixel_size": 2.0}
    particles = make_particles(count, size=size, **(known | columns))
    write_npz(path, ArraySource(rng.standard_normal((count, size, size)), particles))


def test_inspect_tells_counts_groups_and_the_command(tmp_path):
    defocus = np.linspace(1e4, 2e4, 40)
    small_particles(
        tmp_path / "p.npz",
        defocus_u=defocus + 100,
        defocus_v=defocus - 100,
        voltage=300.0,
        spherical_aberration=2.7,
        amplitude_contrast=0.07,
        group=np.arange(40) % 2,
        group_names=("first", "second"),
        half=np.where(np.arange(40) < 10, 1, 2),
        shift=np.tile([3.0, 4.0], (40, 1)),
        warnings=("something was assumed",),
    )
    text = describe(InspectConfig(particles=tmp_path / "p.npz"))
    assert "40 of 16 pixels, 2 Å per pixel" in text
    assert "half-sets    10 and 30" in text
    assert "second                 20   16   2.0000  300     2.7  0.07" in text
    assert "   1.00 –    1.12          5  ████" in text
    assert "astigmatism  median 200 Å" in text
    assert "shift        median 5.00 Å" in text
    assert "- something was assumed" in text
    assert f"cryojax-het reconstruct {tmp_path / 'p.npz'} -o RUN" in text


def test_inspect_says_what_is_missing(tmp_path):
    small_particles(tmp_path / "p.npz", rotation=None)
    text = describe(InspectConfig(particles=tmp_path / "p.npz"))
    assert "not possible yet: no poses" in text
    assert "half-sets    none" in text


def test_inspect_of_files_of_other_programs(data, capsys):
    folder = data / "particles" / "cryodrgn"
    assert main(["inspect", str(folder / "relion31.6opticsgroups.star")]) == 0
    text = capsys.readouterr().out
    assert "139 of 196 pixels, 1.24/1.25 Å per pixel" in text
    assert text.count("opticsGroup") == 6
    assert "0 of 139 files found" in text
    assert "not possible before the problems above are solved" in text
    poses = str(folder / "hand_rot_trans.pkl")
    assert main(["inspect", str(folder / "hand.mrcs"), "--poses", poses]) == 0
    assert "100 of 64 pixels" in capsys.readouterr().out


def run_cli(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "cryojax_het", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "JAX_PLATFORMS": "cpu"},
    )


def test_demo_reconstructs_what_it_simulated(tmp_path):
    small = ("demo", "-o", "d", "--count", "300", "--size", "48", "--snr", "0.1")
    done = run_cli(*small, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    correlation = float(done.stdout.split("correlation")[1].split()[0])
    assert correlation > 0.9
    about = json.loads((tmp_path / "d" / "run" / "run.json").read_text())
    assert about["command"] == ["cryojax-het", *small]
    assert about["status"] == "finished"
    assert (tmp_path / "d" / "run" / "plots" / "truth_fsc.png").stat().st_size > 10_000
    other = run_cli(*small[:-1], "0.2", cwd=tmp_path)
    assert other.returncode == 2
    assert "images of other settings" in other.stderr
    assert "Traceback" not in other.stderr


def test_overwrite_keeps_the_old_run_where_the_new_input_is_wrong(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "run.json").write_text(json.dumps({"format": 1, "status": "finished"}))
    assert main(["reconstruct", "no.star", "-o", str(folder), "--overwrite"]) == 2
    assert (folder / "run.json").is_file()


def test_a_suite_by_name_or_file_and_flags_win(tmp_path, capsys):
    assert main(["simulate", "ring", "-o", str(tmp_path / "a"), "--count", "20"]) == 0
    assert main(["simulate", "ring", "-o", str(tmp_path / "b"), "--count", "20"]) == 0
    assert "20 images" in capsys.readouterr().out
    stack = lambda name: (tmp_path / name / "particles.mrcs").read_bytes()
    assert stack("a") == stack("b")
    about = json.loads((tmp_path / "a" / "simulation.json").read_text())
    assert about["settings"]["count"] == 20
    assert about["settings"]["motion"]["ring"]["states"] == 100
    (tmp_path / "mine.toml").write_text('output = "nowhere"\nsize = 64\n[motion.rings]\n')
    assert main(["simulate", str(tmp_path / "mine.toml"), "-o", str(tmp_path / "c")]) == 2
    assert "Did you mean `ring`?" in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


def test_training_that_runs_away_is_a_message(monkeypatch, capsys):
    def away(line):
        raise FloatingPointError("RUN: lower `--rate`")

    monkeypatch.setitem(COMMANDS, "demo", away)
    assert main(["demo"]) == 2
    assert "RUN: lower `--rate`" in capsys.readouterr().err
