"""What a task is: the YAML file, its checks, and the rows that users bring."""
