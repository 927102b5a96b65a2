"""The loop, cross-validation, plans and executors."""
