"""Systems to compare with that are no latent family of their own."""
