"""Making load: prepared messages, published by a process of their own."""
