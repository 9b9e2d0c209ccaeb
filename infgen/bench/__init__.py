"""Measure this machine: the code of ``infgen bench``, shared with the scripts in ``benchmarks``."""
