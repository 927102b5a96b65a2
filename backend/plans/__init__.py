"""The plans that ship with the program, as TOML."""
