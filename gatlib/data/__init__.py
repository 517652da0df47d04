"""Data in: cards, files, tables, splits, batches."""
