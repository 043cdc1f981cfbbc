from __future__ import annotations

from service.serving.told import Told
from service.settings import Settings


def test_settings_are_the_same_where_they_are_told() -> None:
    settings = Settings(prefer=("one", "two"), redis="redis://:secret@host", workers=3, threads=2)
    told = Told(settings.model_dump(mode="json"), port=7, folder="/somewhere")
    heard = Told.from_json(told.to_json())
    assert heard == told
    assert Settings(**heard.settings) == settings
