"""Systems to compare with that are no latent family: a GAN over codes, and the classifiers of Table 8."""
