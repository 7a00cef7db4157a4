"""A small model server to try Agentherd with: embeddings of a real model, or of a dummy."""
