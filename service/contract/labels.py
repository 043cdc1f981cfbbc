"""Names of modalities, tasks and classes, in the order of the tensors that carry them."""

MODALITIES: tuple[str, ...] = ("csi", "camera", "radar", "lidar")
"""Sensor modalities, in the order of the gate's columns."""

SCENE_MODALITIES: tuple[str, ...] = ("camera", "radar", "lidar")
"""Modalities of a scene capture, in the order of the columns of `scene_mask`."""

CUES: tuple[str, ...] = ("csi", "aoa", "distance", "gain")
"""What a radio frame says of where its UE is, in the order of the columns of `cue_mask` and `router_weight`."""

TASKS: tuple[str, ...] = ("position", "los", "activity")
"""What can be asked of a frame, in the order of the columns of `task_logits`."""

ACTIVITIES: tuple[str, ...] = ("boxing", "jack", "jump", "squats", "walk")
"""Activity classes, in the order of the columns of `activity_logits` (the RadHAR label set)."""
