"""Published tables and peers beside this project: one module for each protocol."""
