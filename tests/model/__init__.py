"""Runs against a real model server, llama.cpp's; `make test-model` runs them."""
