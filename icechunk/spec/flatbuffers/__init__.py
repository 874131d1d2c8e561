"""Readers and writers of FlatBuffers and FlexBuffers."""
