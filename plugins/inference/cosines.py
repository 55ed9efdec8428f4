"""What cosines mean to an embedding model: where two crops are likely one person, and where not.

They come with the model, in its ``model.json``; a model without them gets the tracker's own.
"""

from functools import lru_cache
from pathlib import Path

import msgspec

from plugins.errors import InvalidInputError
from plugins.inference.model_import import read_record
from plugins.tracking.parameters import TrackingParameters


@lru_cache(maxsize=16)
def tracking_parameters(repository: Path | None, model_version: str) -> TrackingParameters:
    """The tracker's parameters for ``name/version/digest`` of an embedding model.

    Raises InvalidInputError where the model's two cosines contradict each other.
    """
    parameters = TrackingParameters()
    name, _, rest = model_version.partition("/")
    folder = None if repository is None else repository / name / rest.partition("/")[0]
    record = None if folder is None or not rest else read_record(folder)
    if record is None or record.same_cosine is None or record.different_cosine is None:
        return parameters
    try:
        return msgspec.structs.replace(
            parameters,
            same_cosine=record.same_cosine,
            different_cosine=record.different_cosine,
        )
    except InvalidInputError as error:
        raise InvalidInputError(f"{folder}/model.json: {error}") from error
