"""The assets: one module each, thin, with the checks that stand beside them."""
