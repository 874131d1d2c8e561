"""Snapshots: the nodes of the hierarchy, and the manifests they refer to."""
