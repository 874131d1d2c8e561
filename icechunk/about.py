"""Versions of icechunk and of the packages that it uses."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from icechunk._version import __version__

_PACKAGES = ("zarr", "numcodecs", "numpy", "xarray", "virtualizarr", "dask")


def user_agent() -> str:
    """Name and version of this library, as a token of HTTP headers."""
    return f"icechunk-python-{__version__}"


def print_debug_info() -> None:
    """Print the platform and the versions that a bug report needs."""
    versions = {"platform": platform.platform(), "python": platform.python_version()}
    versions["icechunk"] = __version__
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    sys.stdout.writelines(f"{name}:  {value}\n" for name, value in versions.items())
