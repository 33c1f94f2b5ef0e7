"""The files of `deploy/`: linted, loaded, compared with each other, and run as a container would run them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from harness.product import PING
from manifests import dockerfile_faults, manifest_faults
from pages import ROOT, every_page, read

from fastgate import config
from fastgate.primitives import load_yaml
from fastgate.runtime import validate

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
UNIT = (DEPLOY / "fastgate.service").read_text(encoding="utf-8")
MANIFESTS = (DEPLOY / "kubernetes.yaml").read_text(encoding="utf-8")
COPIES = [block for path in every_page() for block in read(path).blocks if block.mark == "copy"]


def objects(text: str) -> list[dict]:
    return [load_yaml(part.encode())[0] for part in text.split("\n---\n")]


def test_the_dockerfile_keeps_the_rules() -> None:
    assert dockerfile_faults(DOCKERFILE) == []


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("python:3.13-slim-bookworm AS build", "python AS build", "tag"),
        ("python:3.13-slim-bookworm\nCOPY", "python:latest\nCOPY", "tag"),
        ('ENTRYPOINT ["fastgate"]', "ENTRYPOINT fastgate", "exec form"),
        ("USER 10001:10001\n", "", "USER root"),
        ("USER 10001:10001", "USER gateway", "USER gateway"),
        ("STOPSIGNAL SIGTERM", "STOPSIGNAL SIGINT", "STOPSIGNAL"),
        ("--no-cache-dir ", "", "pip"),
        ("COPY fastgate.yaml", "ADD fastgate.yaml", "ADD"),
    ],
)
def test_a_bad_dockerfile_is_found(old: str, new: str, why: str) -> None:
    assert old in DOCKERFILE
    assert [fault for fault in dockerfile_faults(DOCKERFILE.replace(old, new)) if why in fault]


def test_the_version_in_the_image_is_the_packages() -> None:
    version = re.search(r'^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    assert f"fastgate=={version[1]}" in DOCKERFILE
    assert f"fastgate:{version[1]}" in MANIFESTS


def test_the_manifests_keep_the_rules() -> None:
    assert manifest_faults(objects(MANIFESTS)) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("readOnlyRootFilesystem", "readOnlyRootFileSystem"),
        ("readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false"),
        ("runAsNonRoot: true", "runAsNonRoot: false"),
        ("path: /livez", "path: /readyz"),
        ("port: metrics", "port: http"),
        ("targetPort: http", "targetPort: web"),
        ("fastgate:0.1.0", "fastgate"),
        ("- name: runtime\n          emptyDir", "- name: other\n          emptyDir"),
        ("apps/v1", "apps/v1beta1"),
        ("  selector:\n    app: fastgate", "  selector:\n    app: gateway"),
    ],
)
def test_a_bad_manifest_is_found(old: str, new: str) -> None:
    assert old in MANIFESTS
    assert manifest_faults(objects(MANIFESTS.replace(old, new))) != []


def texts() -> dict[str, str]:
    inner = next(found for found in objects(MANIFESTS) if found["kind"] == "ConfigMap")
    return {
        "deploy/fastgate.yaml": (DEPLOY / "fastgate.yaml").read_text(encoding="utf-8"),
        "the ConfigMap": inner["data"]["fastgate.yaml"],
    }


@pytest.mark.parametrize("name", texts())
def test_their_configs_load_and_end_within_the_grace_given(name: str, tmp_path: Path) -> None:
    file = tmp_path / "fastgate.yaml"
    file.write_text(texts()[name], encoding="utf-8")
    loaded = config.load(file)
    assert not loaded.warnings
    validate(config.compile(loaded))
    shutdown = loaded.config.shutdown
    needed = (shutdown.notice + shutdown.limit) / 1000
    grace = re.search(r"terminationGracePeriodSeconds: (\d+)", MANIFESTS)
    stop = re.search(r"^TimeoutStopSec=(\d+)s$", UNIT, re.MULTILINE)
    assert grace is not None
    assert stop is not None
    assert min(int(grace[1]), int(stop[1])) >= needed + 5


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not there")
def test_systemd_takes_the_unit_and_finds_it_hardened(tmp_path: Path) -> None:
    unit = tmp_path / "fastgate.service"
    unit.write_text(UNIT.replace("/opt/fastgate/bin/fastgate", "/bin/true"), encoding="utf-8")
    said = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stderr) == (0, "")
    secure = ["systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", unit]
    said = subprocess.run(secure, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout[-2000:]
    unit.write_text(UNIT.replace("Type=notify", "Typ=notify"), encoding="utf-8")
    said = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert "Typ" in said.stderr


@pytest.mark.parametrize("block", COPIES, ids=lambda block: f"{block.place} {block.name}")
def test_a_page_shows_the_file_as_it_is(block) -> None:
    assert block.name is not None
    assert (ROOT / block.name).read_text(encoding="utf-8") == block.content


def test_it_runs_as_pid_1_without_root_on_a_read_only_root(tmp_path: Path) -> None:
    if os.geteuid() != 0 or any(shutil.which(tool) is None for tool in ("unshare", "setpriv", "mount")):
        pytest.skip("needs root, unshare, setpriv and mount")
    file = tmp_path / "fastgate.yaml"
    file.write_text(PING, encoding="utf-8")
    separate = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc"]
    if subprocess.run([*separate, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no namespaces of their own are allowed here")
    program = [sys.executable, str(Path(__file__).with_name("container.py")), str(file), "run", "/run/config.yaml"]
    with subprocess.Popen([*separate, *program], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as outer:
        try:
            assert outer.stdout is not None
            page = []
            for line in outer.stdout:
                page.append(line)
                if "reload:" in line:
                    break
            said = "".join(page)
            assert "kill 1 (drains)" in said, said
            address = re.search(r"public +(http://\S+)", said)
            assert address is not None
            with urllib.request.urlopen(f"{address[1]}/ping", timeout=10) as answer:
                assert answer.read() == b"pong"
            (child,) = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
            status = Path(f"/proc/{child}/status").read_text()
            assert re.search(r"^Uid:\s+10001\s+10001", status, re.MULTILINE)
            assert re.search(r"^NSpid:\s+\d+\s+1$", status, re.MULTILINE)
            assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
            assert Path(f"/proc/{child}/root/run/runtime/fastgate/control.sock").is_socket()
            os.kill(int(child), signal.SIGTERM)
            assert outer.wait(30) == 0, outer.stdout.read()
        finally:
            outer.kill()
