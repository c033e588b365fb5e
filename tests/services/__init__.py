"""Real services for tests: S3 over HTTP, PostgreSQL, Redis, workers; and faults put between."""
