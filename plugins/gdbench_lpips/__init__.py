"""The domain `natural`: photographs without known factors, with LPIPS (alex) as distance and Inception's features."""

from __future__ import annotations

from collections.abc import Iterable

from gdbench import DomainSpec, ExtraFile, hookimpl

BACKBONE = ExtraFile(
    name="lpips",
    file="alexnet-owt-7be5be79.pth",
    url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    sha256="7be5be79",  # torchvision publishes no more, and names the file after them
    size=244_000_000,
    licence="BSD 3-Clause (torchvision); the weights were trained on ImageNet",
    summary="the AlexNet behind LPIPS",
)

INCEPTION = ExtraFile(
    name="inception",
    file="inception_v3_google-0cc3c7bd.pth",
    url="https://download.pytorch.org/models/inception_v3_google-0cc3c7bd.pth",
    sha256="0cc3c7bd",
    size=109_000_000,
    licence="BSD 3-Clause (torchvision); the weights were trained on ImageNet",
    summary="the Inception v3 whose features are compared",
)


@hookimpl
def gdbench_domains() -> Iterable[DomainSpec]:
    """Offer natural images."""
    yield DomainSpec(
        name="natural",
        summary="photographs (faces, objects, scenes) without known factors; visible change is LPIPS (alex)",
        load="gdbench_lpips.domain:load",
        files=(BACKBONE, INCEPTION),
        citation="Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018",
    )
