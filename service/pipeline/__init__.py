"""The path of a frame: normalise, encode, buffer, fuse, decode."""

from service.pipeline.answers import Answer, VertexAnswer
from service.pipeline.frames import Batch, SiteFrame, SiteScene
from service.pipeline.pipeline import Pipeline

__all__ = ["Answer", "Batch", "Pipeline", "SiteFrame", "SiteScene", "VertexAnswer"]
