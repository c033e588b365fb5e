"""Tables as files, on disk or on S3, and their contracts."""
