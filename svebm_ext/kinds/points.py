"""Points of the plane."""

from __future__ import annotations

from svebm_ext.config import Config, options_of
from svebm_ext.errors import ConfigError
from svebm_ext.kinds.base import Kind, TextKind


class Points(Kind):
    """Points of a density that is known exactly (Figure 2)."""

    name = "points"
    has_words = False

    def of_texts(self, what: str = "model.kind") -> TextKind:
        """Refuse: points are no texts.

        Raises:
            ConfigError: always.
        """
        raise ConfigError(f"{what}: points is trained by svebm_ext.training.points; expected a kind of text")

    @staticmethod
    def check_drawn(config: Config) -> None:
        """Refuse what is no model of points, or has no prior that can be drawn in the plane.

        Raises:
            ConfigError: another kind, another family, or another number of dimensions.
        """
        if options_of(config.model).name != Points.name:
            raise ConfigError(f"model.kind: {config.model.kind} is not trained here; expected points")
        if config.model.latent == "deterministic":
            raise ConfigError(
                "model.latent: an autoencoder of points has no prior to draw; expected energy, gaussian or mixture"
            )
        if config.model.latent_dim != 2:
            raise ConfigError(
                f"model.latent-dim: {config.model.latent_dim} given; models of points are drawn and have 2"
            )
