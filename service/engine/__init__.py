"""Inference: artifacts checked against the contract, run by ONNX Runtime, found by the site they serve."""
