"""The path of a frame: normalise, encode, buffer, fuse, decode."""

from service.pipeline.answers import Answer, VertexAnswer
from service.pipeline.asked import Asked
from service.pipeline.frames import Batch, SiteFrame, SiteScene
from service.pipeline.outcomes import Outcome
from service.pipeline.pipeline import Pipeline

__all__ = ["Answer", "Asked", "Batch", "Outcome", "Pipeline", "SiteFrame", "SiteScene", "VertexAnswer"]
