"""Floor 6: transactions: what a session reads, records and commits."""
