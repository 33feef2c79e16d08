"""Data sets, float networks and their training; nothing is downloaded: `data.load`, `models.build`, `train.trained`."""
