"""Reload as a user meets it: files watched, errors with their lines, status, hooks that go on."""

from __future__ import annotations

import os
import signal
import sys
import urllib.request
from pathlib import Path

from harness.client import wait_for
from harness.product import PING, Product, put

CONFIG = PING.replace("pong", "one")


def body(gateway: Product, address: str = "") -> str:
    with urllib.request.urlopen(f"http://{address or gateway.address()}/ping", timeout=20) as answer:
        return str(answer.read().decode())


def test_a_bad_config_changes_nothing_and_status_says_why(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text(CONFIG)
    with Product(str(file), folder=tmp_path) as gateway:
        address = gateway.address()
        put(file, CONFIG.replace("body: one", "bodi: two"))
        answer = gateway.ask("reload")
        assert not answer["ok"]
        config = gateway.ask("status")["config"]
        assert config["generation"] == 1
        assert config["last_reload"]["ok"] is False
        (error,) = config["last_reload"]["errors"]
        assert (Path(error["file"]).name, error["line"], error["column"]) == ("gate.yaml", 11, 7)
        assert error["path"] == "routes.ping.respond.bodi"
        assert error["nearest"] == "body"
        assert body(gateway, address) == "one"
        put(file, CONFIG.replace("body: one", "body: two"))
        gateway.signal(signal.SIGHUP)
        gateway.wait_for("reloaded: 1 routes")
        assert body(gateway, address) == "two", "the listener stays where it is"
        config = gateway.ask("status")["config"]
        assert (config["generation"], config["last_reload"]["ok"], config["last_reload"]["errors"]) == (2, True, [])
        gateway.signal(signal.SIGTERM)
        assert gateway.exit_code() == 0


def test_a_taken_port_leaves_the_old_config(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text(CONFIG)
    (tmp_path / "other").mkdir()
    with Product(str(file), folder=tmp_path / "other") as other, Product(str(file), folder=tmp_path) as gateway:
        address, taken = gateway.address(), other.address()
        put(file, CONFIG.replace("routes:", f"  second:\n    bind: {taken}\nroutes:"))
        gateway.signal(signal.SIGHUP)
        gateway.wait_for(f"not reloaded, the old config goes on: listener second cannot listen on {taken}")
        assert body(gateway, address) == "one"
        assert "second" not in gateway.ask("status")["listeners"]


def test_files_are_watched_through_renames_and_symlinks(tmp_path: Path) -> None:
    """A ConfigMap: the file is a symlink into a folder that is swapped; an included folder grows a file."""
    for name, text in (("..1", "one"), ("..2", "two")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "gate.yaml").write_text("include: 'more/*.yaml'\n" + CONFIG.replace("one", text))
    (tmp_path / "..data").symlink_to("..1")
    file = tmp_path / "gate.yaml"
    file.symlink_to("..data/gate.yaml")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "first.yaml").write_text("shutdown:\n  limit: 3s\n")
    with Product("--dev", str(file), folder=tmp_path) as gateway:
        address = gateway.address()
        assert body(gateway, address) == "one"
        (tmp_path / "..new").symlink_to("..2")
        os.replace(tmp_path / "..new", tmp_path / "..data")
        gateway.wait_for(r"reloaded: 1 routes in \d+ ms \(files changed\)")
        assert body(gateway, address) == "two"
        more = "routes:\n  more:\n    match:\n      path: /more\n    respond:\n      status: two\n"
        put(tmp_path / "more" / "second.yaml", more)
        gateway.wait_for("second.yaml:6:15: routes.more.respond.status")
        assert body(gateway, address) == "two"
        put(tmp_path / "more" / "second.yaml", more.replace("two", "200"))
        gateway.wait_for(r"reloaded: 2 routes in \d+ ms \(files changed\)")


def test_without_watch_a_change_waits_for_its_signal(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text(CONFIG)
    with Product(str(file), folder=tmp_path) as gateway:
        assert gateway.ask("status")["config"]["watch"] is False
        put(file, CONFIG.replace("one", "two"))
        gateway.signal(signal.SIGHUP)
        gateway.wait_for("reloaded: 1 routes")
        assert not any("files changed" in line for line in gateway.said)


def test_hooks_go_on_over_a_reload(tmp_path: Path) -> None:
    """The files of a Gateway with hooks are compiled by a child too; its hooks follow the routes."""
    (tmp_path / "gate.yaml").write_text(CONFIG)
    (tmp_path / "app.py").write_text(
        "from fastgate import Gateway, Response\n"
        "gateway = Gateway.from_file('gate.yaml')\n"
        "@gateway.on_request\n"
        "def hook(request):\n"
        "    return Response(200, body=b'hook ' + request.path.encode())\n"
        "if __name__ == '__main__':\n"
        "    gateway.run(lambda runtime: print(f'up {runtime.addresses} stop: ', flush=True))\n"
    )
    (tmp_path / "gate.yaml").write_text(CONFIG.replace("respond:\n      status: 200\n      body: one", "to: TARGET"))
    text = (tmp_path / "gate.yaml").read_text().replace("TARGET", "http://127.0.0.1:1")
    put(tmp_path / "gate.yaml", text)
    with Product(folder=tmp_path, command=(sys.executable, "app.py")) as gateway:
        address = gateway.address()
        assert body(gateway, address) == "hook /ping"
        put(tmp_path / "gate.yaml", text.replace("/ping", "/other").replace("ping:", "renamed:"))
        assert gateway.ask("reload")["ok"]
        with urllib.request.urlopen(f"http://{address}/other", timeout=20) as answer:
            assert answer.read() == b"hook /other"


def test_a_reload_while_it_ends_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "gate.yaml"
    file.write_text(CONFIG + "shutdown:\n  notice: 600s\n")
    with Product(str(file), folder=tmp_path) as gateway:
        gateway.signal(signal.SIGTERM)
        gateway.wait_for("draining")
        wait_for(lambda: gateway.ask("status")["state"] == "draining", "the state")
        answer = gateway.ask("reload")
        assert not answer["ok"]
        assert "the gateway is ending" in str(answer)
        assert body(gateway) == "one", "served through the notice"
        gateway.signal(signal.SIGTERM)
        assert gateway.exit_code() == 0
