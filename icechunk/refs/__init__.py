"""Branches, tags, ancestry and configuration, and the compare-and-swap that changes them (layer 5).

There is one `RefStore` per spec version, so that the layers above rarely ask for the version.
"""
