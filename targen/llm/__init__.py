"""The LLM engine: from requests to stored outcomes. Start at `engine`; types in `types`.

Here belongs what asking a model takes: schedule, budget, store, forms of answers. What is asked,
and what comes of an answer, belongs to the operators.
"""
