"""Small linters for the files of `deploy/`: a Dockerfile by rules, Kubernetes manifests by the fields we rely on."""

from __future__ import annotations

import json
import re
from typing import Any

# Fields of the Kubernetes API that our manifests use, by the object they stand in; another name is a mistake.
# A text is the name of another object; a list is a list of them; None takes anything.
FIELDS: dict[str, dict[str, Any]] = {
    "Meta": {"name": None, "labels": None, "annotations": None},
    "ConfigMap": {"apiVersion": None, "kind": None, "metadata": "Meta", "data": None},
    "Deployment": {"apiVersion": None, "kind": None, "metadata": "Meta", "spec": "DeploymentSpec"},
    "DeploymentSpec": {"replicas": None, "selector": "Selector", "strategy": "Strategy", "template": "Template"},
    "Selector": {"matchLabels": None},
    "Strategy": {"rollingUpdate": "RollingUpdate", "type": None},
    "RollingUpdate": {"maxUnavailable": None, "maxSurge": None},
    "Template": {"metadata": "Meta", "spec": "PodSpec"},
    "PodSpec": {
        "terminationGracePeriodSeconds": None,
        "automountServiceAccountToken": None,
        "securityContext": "PodSecurity",
        "containers": ["Container"],
        "volumes": ["Volume"],
    },
    "PodSecurity": {"runAsNonRoot": None, "runAsUser": None, "runAsGroup": None, "seccompProfile": "Seccomp"},
    "Seccomp": {"type": None},
    "Container": {
        "name": None,
        "image": None,
        "args": None,
        "ports": ["ContainerPort"],
        "startupProbe": "Probe",
        "readinessProbe": "Probe",
        "livenessProbe": "Probe",
        "resources": "Resources",
        "securityContext": "Security",
        "volumeMounts": ["VolumeMount"],
    },
    "ContainerPort": {"name": None, "containerPort": None},
    "Probe": {"httpGet": "HttpGet", "periodSeconds": None, "failureThreshold": None, "timeoutSeconds": None},
    "HttpGet": {"path": None, "port": None},
    "Resources": {"requests": None, "limits": None},
    "Security": {"allowPrivilegeEscalation": None, "readOnlyRootFilesystem": None, "capabilities": "Capabilities"},
    "Capabilities": {"drop": None, "add": None},
    "VolumeMount": {"name": None, "mountPath": None, "readOnly": None},
    "Volume": {"name": None, "configMap": "Meta", "emptyDir": "EmptyDir"},
    "EmptyDir": {"medium": None, "sizeLimit": None},
    "Service": {"apiVersion": None, "kind": None, "metadata": "Meta", "spec": "ServiceSpec"},
    "ServiceSpec": {"selector": None, "ports": ["ServicePort"]},
    "ServicePort": {"name": None, "port": None, "targetPort": None},
    "PodDisruptionBudget": {"apiVersion": None, "kind": None, "metadata": "Meta", "spec": "Budget"},
    "Budget": {"minAvailable": None, "selector": "Selector"},
}
VERSIONS = {"ConfigMap": "v1", "Deployment": "apps/v1", "Service": "v1", "PodDisruptionBudget": "policy/v1"}


def unknown_fields(found: Any, kind: str, path: str = "") -> list[str]:
    """Every field that the object of that kind does not have."""
    if not isinstance(found, dict):
        return [f"{path or kind}: not a mapping"]
    wrong = []
    for name, value in found.items():
        where = f"{path}.{name}" if path else name
        if name not in FIELDS[kind]:
            wrong.append(f"{where}: {kind} has no such field")
            continue
        inner = FIELDS[kind][name]
        if isinstance(inner, list):
            for at, item in enumerate(value):
                wrong += unknown_fields(item, inner[0], f"{where}[{at}]")
        elif inner is not None:
            wrong += unknown_fields(value, inner, where)
    return wrong


def manifest_faults(objects: list[dict[str, Any]]) -> list[str]:
    """What is wrong with a set of manifests, by themselves and with each other."""
    wrong = []
    kinds = {found["kind"]: found for found in objects}
    for kind, found in kinds.items():
        wrong += unknown_fields(found, kind)
        if found["apiVersion"] != VERSIONS.get(kind):
            wrong.append(f"{kind}: apiVersion {found['apiVersion']}")
    spec = kinds["Deployment"]["spec"]
    pod = spec["template"]["spec"]
    labels = spec["template"]["metadata"]["labels"]
    selectors = (
        spec["selector"]["matchLabels"],
        kinds["Service"]["spec"]["selector"],
        kinds["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    )
    wrong += [f"selector {selector} does not choose the pods" for selector in selectors if selector != labels]
    volumes = {volume["name"] for volume in pod["volumes"]}
    for container in pod["containers"]:
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        wrong += [f"no volume {m['name']}" for m in container["volumeMounts"] if m["name"] not in volumes]
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            get = container[probe]["httpGet"]
            if ports.get(get["port"]) != 8003 or get["path"] not in ("/livez", "/readyz"):
                wrong.append(f"{probe} asks {get['port']} for {get['path']}")
        if container["livenessProbe"]["httpGet"]["path"] != "/livez":
            wrong.append("a gateway that only drains would be killed: the liveness probe is /livez")
        security = container["securityContext"]
        if not security.get("readOnlyRootFilesystem") or security.get("allowPrivilegeEscalation") is not False:
            wrong.append("the root file system is writable, or privileges can grow")
        if re.fullmatch(r"\S+:(?!latest)[\w.-]+", container["image"]) is None:
            wrong.append(f"image {container['image']}: a tag is needed, and not latest")
        for port in kinds["Service"]["spec"]["ports"]:
            if port["targetPort"] not in ports:
                wrong.append(f"the service's port {port['targetPort']} is no port of the container")
    if not pod["securityContext"].get("runAsNonRoot"):
        wrong.append("runs as root")
    return wrong


def dockerfile_faults(text: str) -> list[str]:
    """What is wrong with a Dockerfile whose image is to run as PID 1, without root, on a read-only root."""
    lines = [line.strip() for line in re.sub(r"\\\n\s*", " ", text).splitlines()]
    steps = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    wrong = []
    stages = {parts[-1] for word, rest in steps if word == "FROM" and " AS " in rest for parts in [rest.split()]}
    for rest in [rest for word, rest in steps if word == "FROM"]:
        image = rest.split()[0]
        if image not in stages and re.fullmatch(r"\S+:(?!latest)[\w.-]+(@sha256:[0-9a-f]{64})?", image) is None:
            wrong.append(f"FROM {image}: a tag is needed, and not latest")
    last = max(at for at, (word, _) in enumerate(steps) if word == "FROM")
    final = dict(steps[last:])
    for word in ("ENTRYPOINT", "CMD", "HEALTHCHECK"):
        form = final.get(word, "").split("CMD ", 1)[-1]
        try:
            if not isinstance(json.loads(form), list):
                raise ValueError
        except ValueError:
            wrong.append(f"{word}: not in exec form, so a shell would be PID 1 and take the signals")
    user = final.get("USER", "root").split(":")[0]
    if not user.isdigit() or int(user) == 0:
        wrong.append(f"USER {user}: a number that is not 0 is needed (runAsNonRoot cannot judge names)")
    if final.get("STOPSIGNAL", "SIGTERM") != "SIGTERM":
        wrong.append("STOPSIGNAL: the gateway drains at SIGTERM")
    wrong += [f"ADD {rest}: COPY does it" for word, rest in steps if word == "ADD"]
    for rest in [rest for word, rest in steps if word == "RUN"]:
        if "pip install" in rest and ("--no-cache-dir" not in rest or not re.search(r"==\d", rest)):
            wrong.append("pip install: a version is needed, and no cache in the image")
        if "apt-get" in rest and "--no-install-recommends" not in rest:
            wrong.append("apt-get: without --no-install-recommends")
    return wrong
