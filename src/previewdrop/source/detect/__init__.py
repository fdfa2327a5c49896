"""Reads a repository, never importing it, and says how its FastAPI application is served."""

from previewdrop.source.detect.detection import detect

__all__ = ["detect"]
