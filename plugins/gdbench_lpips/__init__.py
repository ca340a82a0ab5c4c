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

CLIP = ExtraFile(
    name="clip",
    file="open_clip_model.safetensors",
    url="https://huggingface.co/laion/CLIP-ViT-B-32-laion2B-s34B-b79K/resolve/"
    "1a25a446712ba5ee05982a381eed697ef9b435cf/open_clip_model.safetensors",
    sha256="ac4f8c4b88af6d963118cbf40ad93176d092abbedfcb752601ae1866352656e6",
    size=605_143_316,
    licence="MIT (LAION); the weights were trained on LAION-2B",
    summary="the CLIP ViT-B-32 that reads factors by prompts",
)


@hookimpl
def gdbench_domains() -> Iterable[DomainSpec]:
    """Offer natural images."""
    yield DomainSpec(
        name="natural",
        summary="photographs (faces, objects, scenes) without known factors; visible change is LPIPS (alex)",
        load="gdbench_lpips.domain:load",
        files=(BACKBONE, INCEPTION),
        extras=(CLIP,),
        citation="Zhang et al., The Unreasonable Effectiveness of Deep Features as a Perceptual Metric, CVPR 2018",
    )
