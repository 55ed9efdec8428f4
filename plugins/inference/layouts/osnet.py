"""OSNet, exported from torchreid: RGB/255 with ImageNet mean and std, features unnormalised."""

from plugins.inference.layouts.base import Layout
from plugins.inference.layouts.embedding import PixelFormat

FORMAT = PixelFormat(
    "osnet",
    mean=(0.485 * 255, 0.456 * 255, 0.406 * 255),
    std=(0.229 * 255, 0.224 * 255, 0.225 * 255),
)
LAYOUT = Layout("osnet", "person_reid", FORMAT.choose_size, FORMAT.adapt, FORMAT.reference)
