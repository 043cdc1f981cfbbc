"""Examples for the OpenAPI file. They validate, and the request is answered as it stands."""

from __future__ import annotations

import base64
import struct
from typing import Any

_DETECTIONS = ((0.01, 31.5, 42.0, 1.2, -3.4, 18.0), (0.03, 31.1, 41.2, 1.4, -3.3, 21.5))  # see RadarTensor

SENSE_REQUEST: dict[str, Any] = {
    "scenes": [
        {
            "id": "s0",
            "site": "munich",
            "radar": {
                "dtype": "float32",
                "shape": [len(_DETECTIONS), 6],
                "data": base64.b64encode(b"".join(struct.pack("<6f", *row) for row in _DETECTIONS)).decode(),
            },
        }
    ],
    "frames": [
        {"site": "munich", "ue": "ue-1", "timestamp_s": 1790000000.0, "scene": "s0", "text": "where is it?"},
        {"site": "munich", "ue": "ue-2", "timestamp_s": 1790000000.0, "scene": "s1"},
    ],
}

_POSITION = {
    "enu_m": [31.2, 41.7],
    "covariance_m2": [[2.1, 0.4], [0.4, 1.3]],
    "region": {"confidence": 90, "semi_major_m": 3.284, "semi_minor_m": 2.271, "orientation_deg": 67.5},
    "wgs84": {"latitude_deg": 48.13721488, "longitude_deg": 11.57571935},
}

_UNKNOWN_SCENE = {
    "type": "urn:cellsense:problem:unknown-scene",
    "title": "Unknown scene",
    "status": 404,
    "detail": "frames[1].scene: expected the id of a scene in this request ('s0'), got 's1'",
    "error": "frames[1].scene: expected the id of a scene in this request ('s0'), got 's1'",
    "field": "frames[1].scene",
    "expected": "the id of a scene in this request ('s0')",
    "got": "'s1'",
    "frame": 1,
}

SENSE_RESPONSE: dict[str, Any] = {
    "artifact": {"munich": {"name": "gated-fusion-munich", "version": "0.1.0"}},
    "results": [
        {
            "index": 0,
            "status": 200,
            "site": "munich",
            "ue": "ue-1",
            "timestamp_s": 1790000000.0,
            "position": _POSITION,
            "los": None,
            "activity": None,
            "path": None,
            "explanation": {
                "gate": {"csi": 0.0, "camera": 0.0, "radar": 1.0, "lidar": 0.0},
                "cues": None,
                "carrier_hz": None,
                "trajectory_length": 1,
                "step_weight": [1.0],
                "ood_score": 1.07,
                "out_of_distribution": False,
            },
            "degraded": [],
        },
        {"index": 1, "status": 404, "error": _UNKNOWN_SCENE},
    ],
}

TRAJECTORY_RESPONSE: dict[str, Any] = {
    "site": "munich",
    "ue": "ue-1",
    "vertices": [
        {
            "timestamp_s": 1790000000.0,
            "position": _POSITION,
            "los": {"line_of_sight": True, "probability": 0.98},
            "activity": None,
        }
    ],
    "path": None,
}

LABELS_REQUEST: dict[str, Any] = {
    "labels": [
        {"site": "munich", "ue": "ue-1", "timestamp_s": 1790000000.0, "position_enu_m": [30.1, 42.9]},
        {"site": "munich", "ue": "ue-9", "timestamp_s": 1790000000.0, "line_of_sight": True},
    ]
}

_UNKNOWN_FRAME = {
    "type": "urn:cellsense:problem:unknown-frame",
    "title": "Unknown frame",
    "status": 404,
    "detail": "labels[1]: expected site, ue and timestamp_s of a frame that was answered lately, "
    "got 1790000000.0 of 'ue-9' at 'munich'",
    "error": "labels[1]: expected site, ue and timestamp_s of a frame that was answered lately, "
    "got 1790000000.0 of 'ue-9' at 'munich'",
    "field": "labels[1]",
    "expected": "site, ue and timestamp_s of a frame that was answered lately",
    "got": "1790000000.0 of 'ue-9' at 'munich'",
    "frame": 1,
}

LABELS_RESPONSE: dict[str, Any] = {
    "results": [
        {
            "index": 0,
            "status": 200,
            "position_error_m": 1.628,
            "region_covered": True,
            "line_of_sight_correct": None,
            "activity_correct": None,
        },
        {"index": 1, "status": 404, "error": _UNKNOWN_FRAME},
    ]
}

PROBLEM: dict[str, Any] = {
    "type": "urn:cellsense:problem:invalid-input",
    "title": "Invalid input",
    "status": 422,
    "detail": "frames[0].csi.shape: expected [32, 64], got [32, 63]",
    "error": "frames[0].csi.shape: expected [32, 64], got [32, 63]",
    "field": "frames[0].csi.shape",
    "expected": "[32, 64]",
    "got": "[32, 63]",
    "frame": 0,
}
