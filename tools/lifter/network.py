"""The network: rays of 17 joints in, their places and sigmas out. A residual MLP (Martinez et al., ICCV 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

INPUTS, JOINTS = 55, 17
WIDTH, BLOCKS = 256, 2
LOG_SIGMA = (-6.0, 1.5)
BETA = 0.5
"""Seitzer et al., ICLR 2022: keeps hard examples from being explained away by a large sigma."""


class Lifter(nn.Module):
    """(N, 55) to (N, 17, 3) metres and (N, 17, 2) log sigma across and along the view."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.into_norm = nn.Linear(INPUTS, WIDTH), nn.BatchNorm1d(WIDTH)
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                [nn.Linear(WIDTH, WIDTH), nn.BatchNorm1d(WIDTH), nn.Linear(WIDTH, WIDTH), nn.BatchNorm1d(WIDTH)]
            )
            for _ in range(BLOCKS)
        )
        self.out = nn.Linear(WIDTH, JOINTS * 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Places and log sigmas."""
        hidden = torch.relu(self.into_norm(self.into(x)))
        for first, first_norm, second, second_norm in self.blocks:  # type: ignore[misc]
            hidden = hidden + torch.relu(second_norm(second(torch.relu(first_norm(first(hidden))))))
        out = self.out(hidden)
        sigma = out[:, JOINTS * 3 :].view(-1, JOINTS, 2).clamp(*LOG_SIGMA)
        return out[:, : JOINTS * 3].view(-1, JOINTS, 3), sigma


def loss(places: Tensor, log_sigma: Tensor, truth: Tensor) -> Tensor:
    """beta-NLL of lateral and depth error, and the distance."""
    squared = (places - truth) ** 2
    across, along = torch.exp(2 * log_sigma[..., 0]), torch.exp(2 * log_sigma[..., 1])
    lateral = 0.5 * (squared[..., :2].sum(-1) / across + 4 * log_sigma[..., 0]) * across.detach() ** BETA
    depth = 0.5 * (squared[..., 2] / along + 2 * log_sigma[..., 1]) * along.detach() ** BETA
    return (lateral + depth).mean() * 10 + (squared.sum(-1) + 1e-6).sqrt().mean()
