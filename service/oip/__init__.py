"""The Open Inference Protocol v2: any model in the repository, tensors in and out, as JSON or binary."""
