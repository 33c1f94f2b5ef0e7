"""The seam to Python: views, answers, executor and the C table, without an engine."""
