"""What the assets need from outside: storage, tables, tasks, the model and locks."""
