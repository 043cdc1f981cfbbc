"""The serving side of cellsense: normalise, encode, buffer, fuse, decode, answer."""
