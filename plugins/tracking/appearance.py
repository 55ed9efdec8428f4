"""What looking alike is worth: from cosines of embeddings to the odds of being one person."""

import numpy as np
import numpy.typing as npt

from plugins.tracking.camera_plane import FloatArray
from plugins.tracking.parameters import TrackingParameters

_ODDS = np.log(9.0)
# One crop in fifty shows something else than its box promises.
_MISLEADING = 0.02


def log_likelihood(cosines: npt.NDArray[np.floating], parameters: TrackingParameters) -> FloatArray:
    """Log-likelihood ratio that crops show one person and not two, of cosines of any shape.

    A logistic curve (nine to one at ``same_cosine``, one to nine at ``different_cosine``), and one
    crop in fifty may show somebody else altogether, so that the odds stay within 49 to one and are
    about eight to one at those two. NaN, not known, says nothing.
    """
    width = parameters.same_cosine - parameters.different_cosine
    middle = (parameters.same_cosine + parameters.different_cosine) / 2
    told = np.nan_to_num(2 * _ODDS * (cosines - middle) / width)
    low, high = np.log(_MISLEADING), np.log(1 - _MISLEADING)
    return np.asarray(np.logaddexp(low, high + told) - np.logaddexp(high, low + told))
