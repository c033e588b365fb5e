"""Answers of real models, and what the parser makes of them; see tests/support/recording.py."""
