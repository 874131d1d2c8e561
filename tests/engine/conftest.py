"""Servers for the storages of object stores."""

from tests.servers.fixtures import moto

__all__ = ["moto"]
