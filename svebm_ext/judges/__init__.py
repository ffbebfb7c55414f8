"""What is trained in order to measure or to guide: language model, sentiment, simple classifiers, trigram chain."""
