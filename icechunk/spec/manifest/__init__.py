"""Manifests: references to the chunks of arrays."""
