"""What the assets need from outside: places, tables, tasks, the model, locks."""
