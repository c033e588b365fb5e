"""What can be shown of a data set: metrics, the report that gathers them, and its page."""
