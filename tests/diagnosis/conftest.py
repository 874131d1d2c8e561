"""Servers for storages that are examined."""

from tests.servers.fixtures import azurite, moto, radosgw, rclone, web_server

__all__ = ["azurite", "moto", "radosgw", "rclone", "web_server"]
