"""Shared kernel: raw modality to vision-compatible tensor, the same functions in training and in serving.

Every normalizer is a pure function of its arguments and works on the whole batch at once. A row's numbers never depend
on its batch-mates, to the last bit. Whoever changes a number here by more than rounding raises
`contract.manifest.NORMALIZER_VERSION`.
"""
