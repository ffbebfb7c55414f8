"""The energy-based prior, whole: p(y, z) = exp(<y, f(z)>) p0(z) / Z, p0 = N(0, I), of Pang & Wu (2021).

| equation | what | where |
|---|---|---|
| (2) | f: R^D -> R^K, alone and given a context c | `network` |
| (3) | p(y given z) = softmax f(z) | `symbols` |
| (4), (5) | p(z) = exp(F(z)) p0(z) / Z, F = logsumexp_k f_k | `symbols` |
| (4) | log Z, of the prior and of each context's | `annealing`, on a `population` of chains by a `schedule` |
| (7), (8) | Langevin steps and the gradient of log p(z) | `svebm_ext.ops.langevin`; their sizes s: `step_sizes` |
| – | moves from mode to mode that leave p(z) as it is | `jumps` |
| (9) | Langevin steps of p(z given x), through the generator | `posterior` |
| (11) | E_q[grad F(z+)] - E_p[grad F(z-)] | z-: `negatives`, from a `chain_bank` (Algorithm 1) or `short_run`s |
| (11) alone | the prior of a finished model learns by itself | `second_stage`, which may begin at `mixture_start` |
| – | samples of p(z), p(z given y), p(z given c) | `conditional` |
| – | symbols made anew from clusters | `regrouping` |
| – | have chains converged, and what are they worth? | `diagnostics` |

(6) is the generator's and (10), (12) the objective's: `svebm_ext.models`, `svebm_ext.objectives`. The latent family of
the model is `svebm_ext.latents.energy`. The energy F is HIGHER where a vector is MORE probable. "Chains" are those of
the bank; z- are `negatives`.
"""
