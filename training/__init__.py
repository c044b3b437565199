"""Everything needed to train the bundled model; nothing here is imported at run time."""
