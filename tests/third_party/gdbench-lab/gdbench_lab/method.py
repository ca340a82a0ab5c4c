"""Steepest: principal directions of E[J'J], J the Jacobian of the image, from one random projection of each J."""

import torch

from gdbench import LinearDirections, normal


def discover(generator, params, context):
    """context.k directions in context.space, the steepest first; renders params.samples images."""
    stream = context.stream("discover")
    slopes = []
    for step in range(params.samples // params.batch):
        codes = generator.sample(params.batch, context.space, stream.of("codes").at(step))
        shifts = torch.zeros_like(codes.latents, requires_grad=True)
        images = generator.render(codes.shifted(shifts))
        noise = normal(stream.of("noise").at(step), *images.shape).to(images)
        slopes += torch.autograd.grad(images, shifts, noise)
    _, _, vectors = torch.linalg.svd(torch.cat(slopes), full_matrices=False)
    return LinearDirections(vectors[: context.k], context.space)
