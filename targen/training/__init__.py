"""Fine-tuning a transformer on the rows: what a large classifier learns from them."""
