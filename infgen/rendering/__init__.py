"""Render regions of a world: cost, plan, preflight, render loop, process pool, cluster, verification."""
