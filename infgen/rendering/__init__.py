"""From world and region to pixels: cost, plan, preflight, render loop."""
