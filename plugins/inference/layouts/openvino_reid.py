"""Intel's person-reidentification-retail models: 1 x H x W x 3, BGR 0..255 as they are.

They normalise over the whole input tensor, the batch axis included, because it was always 1;
``graph_surgery.free_the_batch`` leaves that axis out so that crops do not change each other.
"""

from plugins.inference.layouts.base import Layout
from plugins.inference.layouts.embedding import PixelFormat

FORMAT = PixelFormat("openvino-reid", is_bgr=True, channels_last=True)
LAYOUT = Layout("openvino-reid", "person_reid", FORMAT.choose_size, FORMAT.adapt, FORMAT.reference)
