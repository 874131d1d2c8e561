"""Branches, tags, ancestry and configuration, and the compare-and-swap that changes them (layer 5).

The only package that distinguishes spec versions.
"""
