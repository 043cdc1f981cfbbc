"""`cellsense serve`: the gateway as one process, or as several behind one port."""
