"""Oracle-linear: for each factor that oracle A reads, the direction of the code that it follows (InterFaceGAN form).

All rows are directions in whitened coordinates e = S^(-1/2) (c - mean). A gradient b there moves the code by
S^(1/2) b = cov(c, f): where codes of a larger f lie, and not out of the prior as the gradient of f by c would.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from gdbench import Context, Generator, LinearDirections, PluginError
from gdbench_supervised.labels import Target, read, targets
from gdbench_supervised.params import OracleLinearParams
from gdbench_supervised.whitening import filled, whitening, without

LEAST = 0.02
"""A target of which less variance is linear in the code has no direction: a fit would follow noise."""


@dataclass(frozen=True)
class Fitted:
    """The whitened direction (dim,) of a target, of length one, and the share of its variance that is linear in it."""

    target: Target
    row: Tensor
    explained: float


def discover(generator: Generator, params: OracleLinearParams, context: Context) -> LinearDirections:
    """The directions of ``context.k`` targets, the best explained of each factor first; a step is one prior deviation.

    Where there are fewer targets, random directions orthogonal to all of them (in whitened coordinates) follow, and
    the log says so. Raises PluginError where no factor can be read or K directions do not exist.
    """
    domain = context.domain
    if domain is None or not domain.factors:
        raise PluginError("oracle-linear: the domain has no factors")
    latents, readings = read(generator, domain.oracle("a"), params.samples, params.batch, context)
    space = whitening(generator, context.space)
    found = fit(targets(domain.factors, readings), space.coordinates(latents), params)
    if not found:
        raise PluginError("oracle-linear: the oracle reads no factor that varies with the code; try more samples")
    rows = conditioned(found) if params.conditional else torch.stack([each.row for each in found])
    rows = filled(rows, context.k, context.stream("discover").of("fill").at())
    context.reporter.log(_summary(found, context.k))
    vectors = rows @ space.root
    return LinearDirections(vectors, context.space, vectors.norm(dim=1))


def fit(wanted: list[Target], points: Tensor, params: OracleLinearParams) -> list[Fitted]:
    """Every target that varies linearly and is seen in more images than twice the dimensions; one of each factor first.

    points: (n, dim) whitened codes.
    """
    found = []
    for target in wanted:
        seen, values = points[target.seen], target.values[target.seen]
        if len(values) > 2 * points.shape[1] and float(values.std()) > 1e-6:
            row, explained = regression(seen, values)
            if explained < LEAST:
                continue
            if params.estimator == "svm":
                row = boundary(seen, values, params.share)
            found.append(Fitted(target, row / row.norm(), explained))
    return one_of_each_first(sorted(found, key=lambda each: -each.explained))


def one_of_each_first(found: list[Fitted]) -> list[Fitted]:
    """The best target of each factor in their order, then the rest: K = J directions are one for each factor."""
    first = {each.target.factor: each for each in reversed(found)}
    best = [each for each in found if first[each.target.factor] is each]
    return best + [each for each in found if first[each.target.factor] is not each]


def regression(points: Tensor, values: Tensor) -> tuple[Tensor, float]:
    """Least squares of values (n,) on points (n, dim): gradient (dim,) and adjusted R²."""
    n, dim = points.shape
    mean, apart = points.mean(0), values - values.mean()
    covariance, joint = points.T @ points / n - torch.outer(mean, mean), points.T @ apart / n
    gradient: Tensor = torch.linalg.pinv(covariance, rtol=1e-6, hermitian=True) @ joint
    left = 1 - float(gradient @ joint / apart.square().mean())
    return gradient, 1 - left * (n - 1) / (n - dim - 1)


def boundary(points: Tensor, values: Tensor, share: float) -> Tensor:
    """Normal (dim,) of the linear classifier between the ``share`` of largest and of smallest values."""
    from sklearn.svm import LinearSVC

    chosen = max(1, int(len(values) * share))
    order = values.argsort(stable=True)
    extremes = torch.cat([points[order[:chosen]], points[order[-chosen:]]])
    side = [0] * chosen + [1] * chosen
    normal = LinearSVC(dual=False).fit(extremes.numpy(), side).coef_[0]
    return torch.from_numpy(normal)


def conditioned(found: list[Fitted]) -> Tensor:
    """Each row minus what it shares with the rows of all other factors (k, dim), of length one.

    Raises PluginError where nothing is left.
    """
    rows = []
    for each in found:
        others = [other.row for other in found if other.target.factor != each.target.factor]
        row = without(each.row[None], torch.stack(others))[0] if others else each.row
        if float(row.norm()) < 1e-6:
            raise PluginError(f"oracle-linear: nothing of {each.target.name} is left without the other factors")
        rows.append(row / row.norm())
    return torch.stack(rows)


def _summary(found: list[Fitted], k: int) -> str:
    named = ", ".join(f"{each.target.name} ({each.explained:.2f})" for each in found[:k])
    rest = f"; the other {k - len(found)} are random, orthogonal to them" if k > len(found) else ""
    return f"oracle-linear: {min(k, len(found))} of {k} directions are supervised (R²): {named}{rest}"
