"""Run long work in the background: exports, and inversions of photographs."""
