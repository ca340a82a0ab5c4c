"""How many different directions there are, in the latent space and in images (PROTOCOL, "Diversity and cost")."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from gdbench import Context, Edits, NoParams, Scores, Subject, block_values

DUPLICATE = 0.9  # mean cosine beyond which two directions do the same


def measure(subject: Subject, params: NoParams, context: Context) -> Scores:
    """Effective ranks of unit displacements, of codes and of oracle A's features, at the headline change."""
    edits = subject.edits()
    latents = gram(_latent_displacements(subject, edits), edits.alive)
    features = edits.edited.pooled.float() - edits.base.pooled.float()
    moved = features.movedim(2, 0)
    images = gram(moved, edits.alive)
    nearest = cosines(images).abs().fill_diagonal_(0).amax(1)
    share = edits.alive.double().mean(1)
    values = {
        "rank_latent": effective_rank(latents),
        "rank_image": effective_rank(images),
        "duplicates": float(((nearest > DUPLICATE) | (share == 0)).double().mean()),
        "alive_share": float(share.mean()),
    }
    blocks = block_values(lambda kept: {"rank_image": effective_rank(gram(moved[kept], edits.alive))}, len(moved))
    return Scores(values, {"nearest": nearest.tolist(), "alive": share.tolist()}, blocks=blocks)


def _latent_displacements(subject: Subject, edits: Edits) -> Tensor:
    """(n, k, 2, m): how far each edit moves its code."""
    k, n = len(edits.alive), len(edits.codes)
    moved = []
    for column, sign in enumerate((1.0, -1.0)):
        index = torch.arange(k).repeat_interleave(n)
        codes = edits.codes[torch.arange(n).repeat(k)]
        magnitude = sign * edits.magnitude[:, column].repeat_interleave(n)
        delta = subject.directions.displace(codes, index, magnitude).latents - codes.latents
        moved.append(delta.cpu().reshape(k, n, -1))
    return torch.stack(moved).permute(2, 1, 0, 3)


def gram(displacements: Tensor, alive: Tensor) -> Tensor:
    """Mean Gram matrix (k, k) over codes of unit displacements (n, k, 2, m).

    Both signs make one vector, unit(unit(+) - unit(-)), so that a direction's own sign does not matter. A dead sign is
    left out and its direction weighs half; a dead direction is zero.
    """
    signed = normalize(displacements.double(), dim=-1) * torch.tensor((1.0, -1.0)).double()[:, None]
    unit = normalize((signed * alive[..., None]).sum(2), dim=-1) * alive.double().mean(1).sqrt()[:, None]
    return torch.einsum("nkm,nlm->kl", unit, unit) / len(unit)


def cosines(matrix: Tensor) -> Tensor:
    """A Gram matrix (k, k) of vectors as long as 1; the row and column of a zero vector stay zero."""
    scale = matrix.diagonal().clamp_min(1e-12).rsqrt()
    return matrix * scale * scale[:, None]


def effective_rank(matrix: Tensor) -> float:
    """exp(entropy) of the eigenvalues divided by their sum (Roy and Vetterli 2007); 0 for a zero matrix."""
    values = torch.linalg.eigvalsh(matrix.double()).clamp_min(0)
    total = values.sum()
    return float(torch.special.entr(values / total).sum().exp()) if total > 0 else 0.0
