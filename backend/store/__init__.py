"""The run store: schema, the one writer, and the queries. The only SQL of the project."""
