"""Benchmarks: micro (compiled parts), load (gateways side by side), realtime (hubs), and what they measure with."""
