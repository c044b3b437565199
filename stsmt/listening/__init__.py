"""The listening test: an append-only log of events, who hears what next, and what the ratings say.

Knows the corpus only through `items.Items`, and nothing of pages or models.
"""
