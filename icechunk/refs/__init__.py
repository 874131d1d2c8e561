"""Floor 5: the mutable truth of a repository; the only room that knows spec versions apart."""
