"""Measurements of this machine: what ``infgen bench`` runs, and what the scripts in ``benchmarks`` share with it."""
