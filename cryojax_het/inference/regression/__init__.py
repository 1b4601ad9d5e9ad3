"""Volumes at a latent point, from the images near it."""
