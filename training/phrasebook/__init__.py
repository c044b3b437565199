"""A synchronous Japanese/English phrase grammar: data files plus a small expander."""
