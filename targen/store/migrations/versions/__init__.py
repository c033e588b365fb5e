"""Here belongs one script a revision; none is ever changed after a release."""
