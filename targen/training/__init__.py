"""Fine-tuning a transformer on the rows: what a large classifier learns from them.

Here belongs everything that needs the extra `train` (PyTorch and Hugging Face's Transformers).
Nothing else of the package imports it; the small classifier of every report is in
`targen.quality.learner`.
"""
