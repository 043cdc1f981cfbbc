"""The one interface of all measured sets: what each holds, and the samples of one part of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.generic]
Input = Values | list[Values]  # a list where the samples differ in length


@dataclass(frozen=True)
class Column:
    """What one input or label holds.

    Attributes:
        dtype: NumPy name of the element type.
        shape: of one sample; a name stands for a length that differs from sample to sample.
        unit: of the values; empty for counts, flags and indices.
        about: what it holds, in one line.
        classes: the names that the indices stand for, where the label is a class.
    """

    dtype: str
    shape: tuple[int | str, ...]
    unit: str
    about: str
    classes: tuple[str, ...] = ()

    @property
    def ragged(self) -> bool:
        """Whether the samples differ in length."""
        return any(isinstance(size, str) for size in self.shape)


@dataclass(frozen=True)
class Samples:
    """N samples of one part of a set.

    Attributes:
        part: its name.
        inputs: by modality, an array `[N, ...]` or, where the samples differ in length, a list of N arrays.
        labels: by name, an array `[N, ...]`.
        group: str `[N]` session, recording or file that the sample is from: what a split must not tear apart.
    """

    part: str
    inputs: Mapping[str, Input]
    labels: Mapping[str, Values]
    group: NDArray[np.str_]

    def __post_init__(self) -> None:
        for name, values in {**self.inputs, **self.labels}.items():
            if len(values) != len(self.group):
                raise ValueError(f"{self.part} {name}: expected {len(self.group)} samples, got {len(values)}")

    def __len__(self) -> int:
        return len(self.group)

    def pick(self, index: NDArray[np.int64] | NDArray[np.bool_], part: str) -> Samples:
        """The samples of an index or a mask, in its order, as another part."""
        rows = np.arange(len(self))[index]
        inputs = {
            name: [values[row] for row in rows] if isinstance(values, list) else values[rows]
            for name, values in self.inputs.items()
        }
        labels = {name: values[rows] for name, values in self.labels.items()}
        return Samples(part, inputs, labels, self.group[rows])


def join(first: Samples, *others: Samples) -> Samples:
    """The samples of several parts one after the other; `train` and `val` make what is published as training."""
    every = (first, *others)
    inputs: dict[str, Input] = {}
    for name, values in first.inputs.items():
        if isinstance(values, list):
            inputs[name] = [value for samples in every for value in samples.inputs[name]]
        else:
            inputs[name] = np.concatenate([samples.inputs[name] for samples in every])
    labels = {name: np.concatenate([samples.labels[name] for samples in every]) for name in first.labels}
    return Samples(
        "+".join(samples.part for samples in every),
        inputs,
        labels,
        np.concatenate([samples.group for samples in every]),
    )


@dataclass(frozen=True)
class MeasuredSet:
    """One measured set under one protocol.

    Attributes:
        name: key in `models.data.sets.SETS`.
        about: what was measured, in a sentence.
        folder: where it lies below the folder that has all measured sets.
        inputs: by modality.
        labels: by name.
        parts: names for `load`; `train` and `val` together are what is published as training.
        read: the samples of one part, from the folder of this set.
        protocol: which samples are in which part, and by whom it was decided.
        figure: what is to be beaten under this protocol, and who found it.
        licence: of the data.
        source: where to get it.
        use: `train` and ship, `compare` (with the figures of others, nothing else), `evaluate` (measure on it, ship
            nothing made from it) or `plumbing` (files, no figures).
        apart: whether no group is in two parts.
        limits: what a figure on this set does not show.
    """

    name: str
    about: str
    folder: str
    inputs: Mapping[str, Column]
    labels: Mapping[str, Column]
    parts: tuple[str, ...]
    read: Callable[[Path, str], Samples]
    protocol: str
    figure: str
    licence: str
    source: str
    use: str
    apart: bool = True
    limits: tuple[str, ...] = field(default=())

    def load(self, folder: Path, part: str) -> Samples:
        """The samples of one part, from the folder of this set.

        Raises:
            ValueError: the set has no such part; `BadFile`: a file is there, but is not what it should be.
            FileNotFoundError: a file or the folder is not there.
        """
        if part not in self.parts:
            raise ValueError(f"part of {self.name}: expected one of {', '.join(self.parts)}, got {part!r}")
        return self.read(folder, part)
