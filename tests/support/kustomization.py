"""What a folder of `deploy/kubernetes` brings to a cluster, resolved without kustomize.

Knows only what those folders use: lists of resources, one patch over all Deployments, generated ConfigMaps.
Names stay as they are written: no namespace, no tag of an image, no hash behind the name of a ConfigMap.
"""

from copy import deepcopy
from pathlib import Path
from typing import Any, TypeAlias

import yaml

Manifest: TypeAlias = dict[str, Any]


def read_manifests(folder: Path) -> list[Manifest]:
    """All manifests of a kustomization, as kustomize would make them."""
    told = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    manifests: list[Manifest] = []
    for resource in told["resources"]:
        path = folder / resource
        manifests += read_manifests(path) if path.is_dir() else _read_file(path)
    for generator in told.get("configMapGenerator", []):
        _generate(manifests, generator)
    for patch in told.get("patches", []):
        [change] = _read_file(folder / patch["path"])
        for manifest in manifests:
            if manifest["kind"] == patch["target"]["kind"]:
                _merge(manifest["spec"], change["spec"])
    return manifests


def _read_file(path: Path) -> list[Manifest]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def _generate(manifests: list[Manifest], generator: Manifest) -> None:
    data = dict(literal.split("=", 1) for literal in generator["literals"])
    if generator.get("behavior") == "merge":
        [known] = [it for it in manifests if it["metadata"]["name"] == generator["name"]]
        known["data"] |= data
    else:
        named = {"name": generator["name"]}
        manifests.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": named, "data": data})


def _merge(under: Manifest, over: Manifest) -> None:
    """A strategic merge: maps, and lists of what has a name, by key; all else is replaced."""
    for key, value in over.items():
        known = under.get(key)
        if isinstance(value, dict) and isinstance(known, dict):
            _merge(known, value)
        elif isinstance(value, list) and isinstance(known, list):
            under[key] = _merge_named(known, value)
        else:
            under[key] = deepcopy(value)


def _merge_named(under: list[Manifest], over: list[Manifest]) -> list[Manifest]:
    """What the patch names comes first, as kustomize puts it."""
    known = {item["name"]: item for item in under}
    first = [known.pop(item["name"], {}) for item in over]
    for item, change in zip(first, over, strict=True):
        _merge(item, change)
    return [*first, *known.values()]
