"""Models of continuous heterogeneity in cryo-EM: written, fitted, sampled and compared."""

__version__ = "0.1.0"
