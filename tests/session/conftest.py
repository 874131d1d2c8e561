"""A server for sessions that travel."""

from tests.servers.fixtures import moto

__all__ = ["moto"]
