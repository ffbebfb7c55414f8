"""Measures: each a pure function of numbers, labels or words, with definition, unit and source in its docstring."""
