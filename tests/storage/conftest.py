"""Servers for the storages of object stores."""

from tests.servers.fixtures import azurite, fake_gcs, gcs_xml, moto, radosgw, rclone, web_server

__all__ = ["azurite", "fake_gcs", "gcs_xml", "moto", "radosgw", "rclone", "web_server"]
