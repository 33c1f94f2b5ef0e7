"""Benchmarks: micro (compiled parts), load (gateways side by side), and what both measure with."""
