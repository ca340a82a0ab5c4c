"""The domain `plain`: images of any kind, for a first look at directions; its distance knows pixels and edges alone."""

from __future__ import annotations

from collections.abc import Iterable

from gdbench import DomainSpec, hookimpl


@hookimpl
def gdbench_domains() -> Iterable[DomainSpec]:
    """Offer images of any kind."""
    yield DomainSpec(
        name="plain",
        summary="any images, 1 to 4 channels, without weights; visible change is a distance of pixels and edges",
        load="gdbench_plain.domain:load",
        unranked="measures change in pixels and edges, which nobody has compared with what people see: "
        "its numbers are shown and not ranked",
    )
