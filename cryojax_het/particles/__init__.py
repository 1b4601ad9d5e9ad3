"""Particle images on disk or in memory, their tables, and estimates written back beside them."""
