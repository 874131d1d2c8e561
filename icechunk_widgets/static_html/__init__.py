"""What is shown where no widget runs: tables and PNG pictures."""
