"""Versions of the distribution and of the API that it implements."""

from __future__ import annotations

#: Version of the distribution ``icechunk-jupyter``; the build reads this line.
DISTRIBUTION_VERSION = "0.1.0"

#: Release of the Icechunk Python API that the public names follow.
API_VERSION = "2.3.0"

#: What ``icechunk.__version__`` reports. Dependants branch on the API release in front;
#: the local part (PEP 440) says which distribution provides it.
__version__ = f"{API_VERSION}+jupyter.{DISTRIBUTION_VERSION}"
