"""Fixture of an S3 server for sessions that are sent to other processes."""

from tests.servers.fixtures import moto

__all__ = ["moto"]
