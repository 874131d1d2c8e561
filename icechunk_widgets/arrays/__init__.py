"""What a node holds: its shape, its labels, its chunks, its values as pictures."""
