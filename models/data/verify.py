"""Is a built set as it should be: checksums, fingerprints, schema?"""

from __future__ import annotations

from collections.abc import Iterator

from safetensors import SafetensorError

from models.data.checksums import wrong_sums
from models.data.schema import SchemaError, check
from models.data.shards import SettingsMismatch, ShardSet, check_ground


def wrong_files(shards: ShardSet) -> Iterator[str]:
    """What is wrong with the files of a set, a line each; nothing where all is well."""
    yield from wrong_sums(shards.folder)
    for site in shards.recipe.sites:
        try:
            if shards.ground_path(site).exists():
                check_ground(shards.ground(site))
        except (SchemaError, SettingsMismatch, SafetensorError) as error:
            yield f"{shards.ground_path(site).name}: {error}"
        for episode in shards.episodes(site):
            try:
                check(shards.read(site, episode))
            except (SchemaError, SettingsMismatch, SafetensorError) as error:
                yield f"{shards.path(site, episode).name}: {error}"
