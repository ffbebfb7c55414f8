"""The evaluation of a trained model: its parts, in order, and the report."""
