"""Names that icechunk kept from other libraries."""
