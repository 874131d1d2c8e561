"""Fixture of an S3 server for repositories in a bucket."""

from tests.servers.fixtures import moto

__all__ = ["moto"]
