"""Feed of points of the plane."""

from __future__ import annotations

import torch

from svebm_ext.config import Config
from svebm_ext.data.synthetic import sample_points
from svebm_ext.training.feeds.base import Feed
from svebm_ext.training.feeds.share import Share, check_share
from svebm_ext.training.runtime import Runtime


class PointFeed(Feed):
    """Fresh points of a 2-D density at every iteration.

    Args:
        config: density, batch size, seed.
        runtime: whose share of each batch is returned.

    Raises:
        ConfigError: a batch has fewer points than there are processes.
    """

    steps_per_epoch = 1000

    def __init__(self, config: Config, runtime: Runtime) -> None:
        check_share("batch-size", config.training.batch_size, runtime)
        self._config, self._runtime = config, runtime

    def batch(self, step: int) -> Share:
        """This process's share of iteration `step`."""
        n = self._config.training.batch_size
        points = sample_points(self._config.data.corpus, n, seed=self._config.seed, step=step)
        local = points.select(slice(self._runtime.rank, None, self._runtime.world_size))
        return Share(local.to(self._runtime.device), torch.arange(n), 0)

    def fingerprint(self) -> str:
        """Name of the density."""
        return self._config.data.corpus
