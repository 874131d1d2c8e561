"""Names that icechunk kept from xarray; nothing of xarray is imported."""

from __future__ import annotations

from typing import Literal

ZarrWriteModes = Literal["w", "w-", "a", "a-", "r+", "r"]

__all__ = ["ZarrWriteModes"]
