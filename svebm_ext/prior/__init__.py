"""Markov chain sampling: chain bank, annealed importance sampling, posterior sampling, diagnostics."""
