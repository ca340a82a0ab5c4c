"""What a plugin did wrong, in one line that names it with file and line: the words that records and terminals show.

An error is blamed on the plugin whose code it came from, which need not be the one that was called: a metric draws
images from a domain, and a method renders with a generator.
"""

from __future__ import annotations

from typing import Any

from gdbench.errors import GdbenchError, PluginError
from gdbench.evaluation.memory import is_exhaustion
from gdbench.expected import DOMAIN, GENERATOR, wrong_members
from gdbench.places import at, defined_at, innermost, owns, raised_at
from gdbench.protocols import Domain, Generator
from gdbench.registry import Offer
from gdbench.runs.guarded import GuardedDomain
from gdbench.runs.planning import Plan
from gdbench.specs import Lazy, resolve


def told(error: BaseException, plan: Plan, called: Offer[Any]) -> str:
    """One line about an error: what was raised, by whose code, where. ``called``: the method or metric that ran.

    Errors of usage, missing files and integrity say themselves what is to be done.
    """
    if isinstance(error, GdbenchError) and not isinstance(error, PluginError):
        return first_line(error)
    text = first_line(error) if isinstance(error, PluginError) else f"{type(error).__name__}: {first_line(error)}"
    if isinstance(error, SystemExit):
        text = f"exited without a result: sys.exit({error.code!r})"
    if is_exhaustion(error):
        text += "; out of memory: --max-memory bounds what is rendered at once"
    whose = [offer for offer in _offers(plan, called) if owns(offer.provider.package, _culprit(error, plan, called))]
    if not whose:
        return text if isinstance(error, PluginError) else f"{text} ({_named(called)})"
    place = raised_at(error, whose[0].provider.package)
    who = _named(whose[0]) if len(whose) == 1 or whose[0] is called else str(whose[0].provider)
    return f"{text} ({who}, {place})"


def refused(offer: Offer[Any], complaint: str, function: Lazy | None = None) -> PluginError:
    """The error about what ``function`` of an offer returned: ``complaint``, with plugin, file and line."""
    place = defined_at(resolve(function)) if function is not None else offer.place
    return PluginError(at(f"{_named(offer)}: {complaint}", place))


def load_generator(plan: Plan, device: Any) -> Generator:
    """The plan's generator on ``device``. Raises PluginError where what was loaded is none."""
    spec = plan.generator.spec
    loaded: Generator = resolve(spec.load)(plan.checkpoint.path, plan.generator_params, device)
    if complaint := wrong_members(loaded, GENERATOR, "the loaded generator"):
        raise refused(plan.generator, complaint, spec.load)
    return loaded


def load_domain(plan: Plan, device: Any) -> Domain:
    """The plan's domain on ``device``. Raises PluginError where what was loaded is none."""
    spec = plan.domain.spec
    loaded: Domain = resolve(spec.load)(device)
    if complaint := wrong_members(loaded, DOMAIN, "the loaded domain"):
        raise refused(plan.domain, complaint, spec.load)
    return GuardedDomain(loaded, _named(plan.domain))


def first_line(error: BaseException) -> str:
    """The first line of an error's text, shortened; its type where it has none."""
    text = str(error).strip().splitlines()
    return text[0][:300] if text else type(error).__name__


def _named(offer: Offer[Any]) -> str:
    kind = type(offer.spec).__name__.removesuffix("Spec").lower()
    return f"{kind} {offer.spec.name}, {offer.provider}"


def _offers(plan: Plan, called: Offer[Any]) -> list[Offer[Any]]:
    """Whose code may run, the called one first; each once."""
    return [called, *(offer for offer in (plan.method, plan.generator, plan.domain) if offer is not called)]


def _culprit(error: BaseException, plan: Plan, called: Offer[Any]) -> str:
    """The module of the innermost line of one of the plan's plugins, or ""."""
    packages = {offer.provider.package for offer in _offers(plan, called)}
    return next((module for module in innermost(error) if any(owns(package, module) for package in packages)), "")
