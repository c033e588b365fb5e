"""What lies in deploy/: settings files that must load, and say what the documentation says."""
