"""The embedded demonstration model: an OpenAI-compatible application without a model.

Here belongs everything that answers as a language model would: the HTTP surface, the grammars of
the known tasks, the composer for unknown ones. It sees messages, schema and seed, never a table,
a task file or a recipe.
"""
