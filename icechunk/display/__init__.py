"""Floor 3: pictures of what a repository holds, as text and as SVG; no I/O."""
