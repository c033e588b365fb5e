"""The LLM engine: from requests to stored outcomes. Start at `engine`; types in `types`."""
