"""Runs the cases of the public conformance suite of RFC 6455 (`autobahntestsuite` on PyPI) against a server."""
