"""Self-hosted preview environments for FastAPI teams."""

__version__ = "0.1.0"
