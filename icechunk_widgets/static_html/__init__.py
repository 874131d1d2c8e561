"""HTML without scripts: tables and PNG pictures."""
