"""Train on text of your own: python examples/train_own_text.py FILE RUN

FILE is lines, CSV, TSV, JSON, fastText or Parquet. --smoke makes networks and run tiny, to see that it works.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from svebm_ext import preset
from svebm_ext.training.run import train

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("file", type=Path)
parser.add_argument("run", type=Path)
parser.add_argument("--smoke", action="store_true")
options = parser.parse_args()

config = preset("lines")
config = replace(config, data=replace(config.data, train=options.file))
if options.smoke:
    config = replace(
        config,
        model=replace(
            config.model, latent_dim=4, n_categories=6, embedding_dim=16, encoder_hidden=12, decoder_hidden=16
        ),
        chains=replace(config.chains, n_chains=40, n_steps=4),
        training=replace(config.training, batch_size=8, max_steps=20, validate_every=10, sample_every=0),
    )
model, corpus = train(config, options.run)
print(f"trained on {len(corpus.train):,} sentences; {', '.join(corpus.notes)}")
for sentence in model.generate(5):
    print(sentence)
