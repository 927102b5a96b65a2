"""Charts as pure functions from a DataFrame to an Altair chart."""
