"""errgate: one endpoint in front of vendor APIs, one envelope for everything that fails."""

__version__ = "0.1.0"
