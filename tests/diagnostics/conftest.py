"""Servers for storages that are examined."""

from tests.servers.fixtures import azurite, gcs_xml, moto, radosgw, rclone, web_server

__all__ = ["azurite", "gcs_xml", "moto", "radosgw", "rclone", "web_server"]
