"""Files of the Icechunk format: for each its value, its columns, and how it is read and written."""
