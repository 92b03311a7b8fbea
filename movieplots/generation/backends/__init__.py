"""Backends that generate text: transformers, llama.cpp, and servers with OpenAI's completions API."""
