"""Tables as files: storage on disk or S3, reading and writing, and contracts."""
