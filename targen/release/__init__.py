"""Releases (immutable, verifiable, withdrawable folders of finished rows) and exports."""
