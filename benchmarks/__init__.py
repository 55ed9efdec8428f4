"""Measurements: each file is one command, with ratios to a floor or a peer of the same run."""
