"""`doctor` and `bench`: what this machine allows, and what it does; the figures are anybody's, their form is not."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from fastgate import _bin, cli
from fastgate.cli import benching, doctor
from fastgate.cli.benching import Row, Sample

from .conftest import Shell, Terminal

NAMES = [
    "system",
    "engine",
    "CPUs",
    "memory",
    "descriptors",
    "a connection",
    "a WebSocket",
    "descriptor tables",
    "socket buffers",
    "socket memory",
    "connection tracking",
    "accept queue",
    "ports to targets",
    "huge pages",
    "overcommit",
    "SO_REUSEPORT",
    "control socket",
]


def test_doctor_here(shell: Shell) -> None:
    done = shell("doctor")
    assert done.returncode == 0, done.stdout
    assert [line[6:].split("  ")[0] for line in done.stdout.splitlines() if not line.startswith(" ")] == NAMES
    told = json.loads(shell("doctor", "--format", "json").stdout)
    assert told["ok"] is True
    assert [one["name"] for one in told["findings"]] == NAMES
    assert all(one["advice"] for one in told["findings"] if one["state"] != "ok")


def machine(root: Path, **files: str) -> Path:
    """A tree of proc and sys with these texts; the keys have `__` for `/`."""
    usual = {
        "proc__meminfo": "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\n",
        "proc__sys__fs__nr_open": "1048576",
        "proc__sys__net__core__somaxconn": "4096",
        "proc__sys__net__ipv4__ip_local_port_range": "32768\t60999",
        "proc__sys__net__ipv4__tcp_wmem": "4096\t16384\t262144",
        "proc__sys__net__ipv4__tcp_rmem": "4096\t131072\t6291456",
        "proc__sys__net__ipv4__tcp_mem": "200000\t300000\t400000",
        "proc__sys__vm__overcommit_memory": "0",
        "sys__kernel__mm__transparent_hugepage__enabled": "always [madvise] never",
    }
    for name, text in (usual | files).items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


def found(root: Path, name: str) -> doctor.Finding:
    return next(one for one in doctor.examine(root) if one.name == name)


@pytest.mark.parametrize(
    ("name", "files", "state", "said"),
    [
        ("CPUs", {"sys__fs__cgroup__cpu.max": "max 100000"}, "ok", "for this process"),
        ("CPUs", {"sys__fs__cgroup__cpu.max": "50000 100000"}, "note", "workers: 1"),
        (
            "CPUs",
            {"sys__fs__cgroup__cpu__cpu.cfs_quota_us": "-1", "sys__fs__cgroup__cpu__cpu.cfs_period_us": "1"},
            "ok",
            "",
        ),
        (
            "CPUs",
            {"sys__fs__cgroup__cpu__cpu.cfs_quota_us": "20000", "sys__fs__cgroup__cpu__cpu.cfs_period_us": "100000"},
            "note",
            "allows 0.2",
        ),
        ("memory", {}, "ok", "3.81 GiB available of 7.63 GiB"),
        ("memory", {"sys__fs__cgroup__memory.max": "67108864"}, "bad", "the cgroup allows 64 MiB"),
        ("memory", {"sys__fs__cgroup__memory.max": "max"}, "ok", "7.63 GiB"),
        ("memory", {"proc__meminfo": ""}, "note", "unknown"),
        ("accept queue", {"proc__sys__net__core__somaxconn": "128"}, "note", "sysctl net.core.somaxconn=4096"),
        ("ports to targets", {"proc__sys__net__ipv4__ip_local_port_range": "40000\t41000"}, "note", "1,001"),
        ("socket buffers", {}, "ok", "256 KiB to send and 6 MiB received"),
        ("socket buffers", {"proc__sys__net__ipv4__tcp_wmem": "4096 16384 4194304"}, "note", "4 MiB in the kernel"),
        ("socket buffers", {"proc__sys__net__ipv4__tcp_wmem": ""}, "note", "unknown"),
        ("socket memory", {}, "ok", "6,250 clients that do not read"),
        ("socket memory", {"proc__sys__net__ipv4__tcp_mem": "1 2 50000"}, "note", "too little for 100,000"),
        ("socket memory", {"proc__sys__net__ipv4__tcp_wmem": "4096 16384 4194304"}, "note", "390 clients"),
        ("connection tracking", {}, "ok", "off"),
        ("connection tracking", {"proc__sys__net__netfilter__nf_conntrack_max": "262144"}, "ok", "0 of 262,144"),
        ("connection tracking", {"proc__sys__net__netfilter__nf_conntrack_max": "65536"}, "note", "max=200000"),
        ("huge pages", {"sys__kernel__mm__transparent_hugepage__enabled": "[always] madvise never"}, "note", "always"),
        ("overcommit", {"proc__sys__vm__overcommit_memory": "2"}, "note", "second process"),
    ],
)
def test_doctor_elsewhere(tmp_path: Path, name: str, files: dict[str, str], state: str, said: str) -> None:
    one = found(machine(tmp_path, **files), name)
    assert one.state == state
    assert said in f"{one.value} {one.advice}"


@pytest.mark.parametrize(("hard", "state"), [(512, "bad"), (4096, "note"), (100_000, "ok")])
def test_doctor_on_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard: int, state: str) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (min(hard, 1024), hard))
    root = machine(tmp_path)
    assert found(root, "descriptors").state == state
    assert f"{(hard - 64) // 2:,} fit at once" in found(root, "a connection").value


@pytest.mark.parametrize(
    ("hard", "state", "said"),
    [(1 << 20, "ok", "one holds"), (20_000, "ok", "6 workers"), (1_024, "note", "224 workers")],
)
def test_doctor_on_private_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard: int, state: str, said: str
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, hard))
    one = found(machine(tmp_path), "descriptor tables")
    assert (one.state, said in one.value) == (state, True), one


def test_a_bad_machine_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = machine(tmp_path, **{"sys__fs__cgroup__memory.max": "67108864"})
    assert doctor.doctor(form="text", root=root) == 1
    assert "BAD   memory" in capsys.readouterr().out
    assert doctor.doctor(form="json", root=root) == 1


# where the programs are


def test_programs_are_found_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTGATE_BIN_DIR", str(tmp_path))
    assert _bin.find("fastgate-load") is None
    program = tmp_path / "fastgate-load"
    program.write_text("")
    assert _bin.find("fastgate-load") is None  # not a program yet
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    assert _bin.find("fastgate-load") == program
    with pytest.raises(ValueError, match='there is no program "ls"; there are fastgate-load, '):
        _bin.find("ls")


def test_bench_without_its_programs_is_one_sentence(shell: Shell, tmp_path: Path) -> None:
    done = shell("bench", env={"FASTGATE_BIN_DIR": str(tmp_path)})
    assert done.returncode == 1
    assert done.stderr.startswith("fastgate: fastgate-load is not part of this installation")
    assert len(done.stderr.splitlines()) == 1


# bench


def built() -> bool:
    return all(_bin.find(name) for name in _bin.NAMES)


needs_programs = pytest.mark.skipif(not built(), reason="the programs of fastgate bench are not built: make bins")


@needs_programs
def test_bench_measures(shell: Shell) -> None:
    done = shell("bench", "--rounds", "2", "--seconds", "0.1", "--format", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["rounds"], told["seconds"], len(told["cases"])) == (2, 0.1, 3)
    for case in told["cases"]:
        assert case["errors"] == 0
        assert len(case["ratios"]) == len(case["floor"]) == len(case["fastgate"]) == 2
        # A proxy that parses costs more than one that does not, and not ten times as much.
        assert 0.5 < case["ratio"] < 10
        assert min(case["ratios"]) <= case["ratio"] <= max(case["ratios"])
        assert all(one["rate"] > 0 and one["cpu_us"] > 0 for one in (*case["floor"], *case["fastgate"]))
    assert set(told["parts_us"]) == {"parse a request head", "find one of 1,000 routes"}
    assert done.stderr == ""


@needs_programs
def test_ctrl_c_leaves_nothing_behind(terminal: Callable[..., Terminal]) -> None:
    bench = terminal("bench", "--rounds", "50", "--seconds", "5")
    bench.wait_for(r"\[1/300\] ")
    children = [
        int(one)
        for task in Path(f"/proc/{bench.pid}/task").iterdir()
        for one in (task / "children").read_text().split()
    ]
    assert len(children) >= 3
    bench.type("\x03")
    assert bench.end() == 130
    assert "Traceback" not in bench.output
    limit = time.monotonic() + 20
    while any(alive(pid) for pid in children):
        assert time.monotonic() < limit, "a program of the bench goes on"
        os.sched_yield()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def sample(cpu: float, errors: int = 0) -> Sample:
    return Sample(cpu, 1000.0, 10.0, 20.0, errors)


def test_noise_is_said() -> None:
    calm = Row("calm", [sample(10), sample(10)], [sample(11), sample(11.2)])
    wild = Row("wild", [sample(10), sample(10)], [sample(11), sample(15)])
    wrong = Row("wrong", [sample(10)], [sample(11, 3)])
    said = [line for line in benching.notes([calm, wild, wrong], "cpu_us", False) if "busy" not in line]
    assert said == ["Noisy: wild: the ratios lie 31 % apart.", "WRONG ANSWERS: wrong: 3"]
    assert any("Only one core" in line for line in benching.notes([calm], "cpu_us", True))


def test_the_table_of_a_bench(capsys: pytest.CaptureFixture[str]) -> None:
    row = Row("a case", [sample(10), sample(12)], [sample(11), sample(12.6)])
    lines = list(benching._text([row], [("a part", 1.5)], 2, 1.0, False))
    assert lines[0].split() == ["CPU/REQUEST", "FLOOR", "RATIO", "RANGE", "RATE", "P50", "P99"]
    assert lines[1].split("  ")[0] == "a case"
    assert lines[1].split()[2:] == [
        "11.80",
        "µs",
        "11.00",
        "µs",
        "1.08",
        "1.05-1.10",
        "1,000/s",
        "10",
        "µs",
        "20",
        "µs",
    ]
    assert "a part  1.50 µs from Python" in lines


def test_a_bench_with_wrong_answers_is_1(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(benching, "bench", lambda **_: 1)
    assert cli.main(["bench"]) == 1
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
