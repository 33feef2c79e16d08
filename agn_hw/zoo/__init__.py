"""Data sets and float networks that need no download: `data.load`, `models.build`, `train.trained`."""
