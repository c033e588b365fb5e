"""One grammar per task that the simulator knows."""
