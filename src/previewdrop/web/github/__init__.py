"""GitHub's own part of the web: connecting it, and making projects of its repositories."""
