"""What a model has learnt, gathered for a person who looks (`gather`) and shown as one page (`page`)."""
