"""What no single value shows: references, choices of one key, double addresses, final policies.

Works on the plain merged values, so that these findings stand beside those of the models.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic_core import PydanticCustomError

from fastgate.config import addresses
from fastgate.config.findings import Draft, wrong_value
from fastgate.config.scalars import nearest_word
from fastgate.config.source import KeyPath

ACTIONS = ("service", "to", "respond", "redirect", "static")
# References whose nearest right word is looked for.
GUESSES = 50
AUTH_METHODS = ("jwt", "api_key", "basic", "signature", "mtls", "introspection", "ext_auth")


def check(value: dict[str, Any]) -> list[Draft]:
    """Every fault between the parts of a config."""
    drafts: list[Draft] = []
    services, listeners = _names(value, "services"), _names(value, "listeners")
    for name, route in _maps(value.get("routes")):
        _route(("routes", name), route, services, listeners, drafts)
    for name, service in _maps(value.get("services")):
        _service(("services", name), service, drafts)
    _binds(value, drafts)
    _policies(value, drafts)
    for section in ("routes", "services"):
        for name, item in _maps(value.get(section)):
            if isinstance(item.get("policies"), dict):
                _auth((section, name, "policies"), item["policies"], drafts)
    if isinstance(value.get("policies"), dict):
        _auth(("policies",), value["policies"], drafts)
    if not _has_store(value):
        from fastgate.config import check_store  # what needs one is rare

        drafts.extend(check_store.check(value))
    if "realtime" in value or "store" in value:
        from fastgate.config import check_realtime  # most configs have neither

        drafts.extend(check_realtime.check(value))
    return drafts


def _has_store(value: dict[str, Any]) -> bool:
    """Whether a store is written; a key that looks like it has its own error."""
    return "store" in value or any(nearest_word(str(key), ("store",)) for key in value)


def _names(value: dict[str, Any], section: str) -> list[str]:
    found = value.get(section)
    return list(found) if isinstance(found, dict) else []


def _maps(value: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        for name, item in value.items():
            if isinstance(item, dict):
                yield name, item


def _one_of(path: KeyPath, item: dict[str, Any], keys: tuple[str, ...], drafts: list[Draft], *, needed: bool) -> None:
    """Exactly one (or at most one) of some keys; a key that looks like one of them is left to its own error."""
    there = [key for key in item if key in keys]
    if len(there) > 1:
        message = f"found {' and '.join(there)}; allowed: one of {', '.join(keys)}"
        drafts.append(Draft((*path, there[1]), message, "key", found=", ".join(there), allowed=", ".join(keys)))
    elif not there and needed and not any(nearest_word(str(key), keys) for key in item):
        message = f"nothing to do; allowed: one of {', '.join(keys)}"
        drafts.append(Draft(path, message, "key", allowed=", ".join(keys)))


def _route(
    path: KeyPath, route: dict[str, Any], services: list[str], listeners: list[str], drafts: list[Draft]
) -> None:
    _one_of(path, route, ACTIONS, drafts, needed=True)
    service = route.get("service")
    if isinstance(service, str) and service not in services:
        drafts.append(_reference((*path, "service"), service, services, "service", len(drafts)))
    wanted = route.get("listeners")
    if isinstance(wanted, list):
        for number, name in enumerate(wanted):
            if isinstance(name, str) and name not in listeners:
                drafts.append(_reference((*path, "listeners", number), name, listeners, "listener", len(drafts)))
        if not wanted:
            drafts.append(Draft((*path, "listeners"), "found an empty list; allowed: at least one listener, or no key"))
    if isinstance(route.get("rewrite"), dict):
        _one_of((*path, "rewrite"), route["rewrite"], ("strip_prefix", "replace", "path"), drafts, needed=True)
        if not {"service", "to"} & route.keys() and {"respond", "redirect", "static"} & route.keys():
            message = "found beside an action that proxies nothing; allowed: with service or to"
            drafts.append(Draft((*path, "rewrite"), message, "key"))
    match = route.get("match")
    if isinstance(match, list):
        if not match:
            drafts.append(Draft((*path, "match"), "found an empty list; allowed: at least one mapping"))
        for number, one in enumerate(match):
            if isinstance(one, dict):
                _match((*path, "match", number), one, drafts)
    elif isinstance(match, dict):
        _match((*path, "match"), match, drafts)
        rewrite = route.get("rewrite")
        if (
            isinstance(rewrite, dict)
            and "replace" in rewrite
            and "prefix" not in match
            and ("path" in match or "regex" in match)
        ):
            message = "found without a matched prefix to replace; allowed: with match.prefix, or rewrite.path"
            drafts.append(Draft((*path, "rewrite", "replace"), message, "key"))


def _match(path: KeyPath, match: dict[str, Any], drafts: list[Draft]) -> None:
    _one_of(path, match, ("prefix", "path", "regex"), drafts, needed=False)
    for section in ("headers", "query"):
        for name, item in _maps(match.get(section)):
            _one_of((*path, section, name), item, ("exact", "present", "regex"), drafts, needed=True)


def _reference(path: KeyPath, name: str, known: list[str], what: str, before: int) -> Draft:
    words = ", ".join(known[:20]) + (", …" if len(known) > 20 else "") if known else f"none: no {what}s are written"
    # Many wrong names among many names would take minutes.
    nearest = nearest_word(name, known) if before < GUESSES else None
    return wrong_value(path, name, words, nearest=nearest, why=f"there is no such {what}")


def _service(path: KeyPath, service: dict[str, Any], drafts: list[Draft]) -> None:
    targets = service.get("targets")
    if (
        targets is None and "asgi" not in service and not any(nearest_word(str(k), ["targets"]) for k in service)
    ) or targets == []:
        where = (*path, "targets") if targets == [] else path
        drafts.append(Draft(where, f"no targets; allowed: a list of at least one {addresses.TARGET_ALLOWED}", "key"))
    _service_tls(path, service, drafts)
    # A wrong value of that key, or a misspelling of it, is said already.
    allowed = service.get("allow_link_local", any(nearest_word(str(key), ["allow_link_local"]) for key in service))
    if not isinstance(targets, list) or allowed is not False:
        return
    for number, item in enumerate(targets):
        here: KeyPath = (*path, "targets", number)
        url = item.get("url") if isinstance(item, dict) else item
        try:
            link_local = addresses.parse_target(url).link_local
        except PydanticCustomError:
            continue
        if link_local:
            message = f'found "{url}", a link-local address (metadata services); allowed: with allow_link_local: true'
            drafts.append(Draft((*here, "url") if isinstance(item, dict) else here, message, found=url))


def _service_tls(path: KeyPath, service: dict[str, Any], drafts: list[Draft]) -> None:
    tls, targets = service.get("tls"), service.get("targets")
    if not isinstance(tls, dict):
        return
    for one, other in (("cert", "key"), ("key", "cert")):
        if one in tls and other not in tls:
            drafts.append(Draft((*path, "tls", one), f"found without {other}; allowed: both of them, or none", "key"))
    if tls.get("verify") is False and "ca" in tls:
        drafts.append(Draft((*path, "tls", "ca"), "found beside verify: false, which reads none", "key"))
    items = targets if isinstance(targets, list) else []
    urls = [item.get("url") if isinstance(item, dict) else item for item in items]
    if urls and not any(isinstance(url, str) and url.startswith("https:") for url in urls):
        message = "found, and no target has TLS; allowed: with a target whose URL begins with https://"
        drafts.append(Draft((*path, "tls"), message, "key"))


def _binds(value: dict[str, Any], drafts: list[Draft]) -> None:
    seen: dict[str, str] = {}
    for name, listener in _maps(value.get("listeners")):
        try:
            bind = addresses.BIND.read(listener.get("bind"))
        except PydanticCustomError:
            continue
        if bind in seen and not bind.endswith(":0"):
            message = (
                f'found "{bind}", which is taken by listeners.{seen[bind]} ({{0}}); allowed: one listener an address'
            )
            drafts.append(
                Draft(("listeners", name, "bind"), message, found=bind, others=(("listeners", seen[bind], "bind"),))
            )
        seen.setdefault(bind, name)


def _policies(value: dict[str, Any], drafts: list[Draft]) -> None:
    """`final: true` forbids lower levels to replace a policy or to switch it off."""
    top = value.get("policies")
    finals = _finals(top, ("policies",))
    by_service: dict[str, dict[str, KeyPath]] = {}
    for name, service in _maps(value.get("services")):
        own = service.get("policies")
        _lower(("services", name, "policies"), own, finals, drafts)
        by_service[name] = finals | _finals(own, ("services", name, "policies"))
    for name, route in _maps(value.get("routes")):
        service_name = route.get("service")
        above = by_service.get(service_name, finals) if isinstance(service_name, str) else finals
        _lower(("routes", name, "policies"), route.get("policies"), above, drafts)


def _finals(policies: Any, path: KeyPath) -> dict[str, KeyPath]:
    return {name: (*path, name) for name, item in _maps(policies) if item.get("final") is True}


def _lower(path: KeyPath, policies: Any, finals: dict[str, KeyPath], drafts: list[Draft]) -> None:
    for name in policies if isinstance(policies, dict) and finals else ():
        if name in finals:
            message = f"found below a policy that is final ({{0}}); allowed: {name} at that level only"
            drafts.append(Draft((*path, name), message, "key", others=(finals[name],)))


def _auth(path: KeyPath, policies: dict[str, Any], drafts: list[Draft]) -> None:
    auth = policies.get("auth")
    methods = auth.get("any_of") if isinstance(auth, dict) else None
    for number, item in enumerate(methods if isinstance(methods, list) else ()):
        if isinstance(item, dict):
            # A key that is none of them is unknown, and that is said already.
            _one_of((*path, "auth", "any_of", number), item, AUTH_METHODS, drafts, needed=not item)
