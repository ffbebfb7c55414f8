"""Semi-supervised classifiers of documents that stand beside SVEBM in Table 8."""
