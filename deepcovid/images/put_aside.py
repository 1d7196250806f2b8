"""The sentence about images that cannot be used, for the console and the pages."""

from collections.abc import Mapping

SHOWN = 3  # images that are named


def put_aside(quarantined: Mapping[str, str], dataset: str) -> str:
    """Return a sentence on the images of a data set that were put aside, with the reasons for the first few.

    Args:
        quarantined: Reasons by image_id, as `deepcovid.images.decoding.decoded_images` collects them.
        dataset: Its name.
    """
    if not quarantined:
        return f"Every image of {dataset} could be used."
    one = len(quarantined) == 1
    named = [f"{name} ({reason})" for name, reason in list(quarantined.items())[:SHOWN]]
    named += [f"and {len(quarantined) - SHOWN:,} more"] if len(quarantined) > SHOWN else []
    return (
        f"{len(quarantined):,} image{'' if one else 's'} of {dataset} could not be used and {'was' if one else 'were'} "
        f"put aside: {'; '.join(named)}."
    )
