"""Tests of the command line, as a shell and a terminal meet it."""
