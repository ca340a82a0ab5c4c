"""The method `steepest`: directions along which the picture changes most, to first order."""

import torch

from gdbench import LinearDirections, MethodSpec, hookimpl, normal


def discover(generator, params, context):
    stream = context.stream("discover")
    codes = generator.sample(500, context.space, stream.at(0))
    shifts = torch.zeros_like(codes.latents, requires_grad=True)
    images = generator.render(codes.shifted(shifts))
    noise = normal(stream.at(1), *images.shape).to(images)
    (slopes,) = torch.autograd.grad(images, shifts, noise)  # one random view of each picture's Jacobian
    return LinearDirections(torch.linalg.svd(slopes, full_matrices=False).Vh[: context.k], context.space)


@hookimpl
def gdbench_methods():
    yield MethodSpec("steepest", "directions along which the picture changes most", discover)
