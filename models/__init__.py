"""The training side of cellsense: data, networks, systems, baselines, evaluation and export."""
