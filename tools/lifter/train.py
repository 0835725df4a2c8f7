"""Trains the lifter: seeded, one thread, a fixed number of steps."""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lifter.network import Lifter, loss
from lifter.skeleton import load
from lifter.views import make

SEED, STEPS, BATCH, RATE = 0, 36_000, 512, 1.5e-3
WARM = 200


def train(path: Path, steps: int = STEPS) -> None:
    """Train from nothing and write the weights to `path`."""
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(True)
    random, draw = torch.Generator().manual_seed(SEED), np.random.default_rng(SEED)
    mocap = load(held_out=False)
    upto = np.cumsum(mocap.weight)
    network = Lifter()
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=1e-4)
    began, mean = time.monotonic(), 0.0
    for step in range(1, steps + 1):
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1, step / WARM) * (0.5 * (1 + math.cos(math.pi * step / steps)) + 0.01)
        chosen = np.minimum(np.searchsorted(upto, draw.random(BATCH)), len(upto) - 1)
        views = make(mocap.joints[chosen], random)
        places, sigma = network(views.x)
        off = loss(places, sigma, views.y)
        optimiser.zero_grad()
        off.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        mean += 0.02 * ((places - views.y).detach().norm(dim=-1).mean().item() - mean)
        if step % 500 == 0:
            done = f"step {step}/{steps}, {time.monotonic() - began:.0f} s, error {mean * 1000:.0f} mm"
            sys.stderr.write(f"train_lifter: {done}\n")
            torch.save(network.state_dict(), path)
    torch.save(network.eval().state_dict(), path)
