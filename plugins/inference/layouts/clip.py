"""A CLIP image tower (also CLIP-ReID): RGB/255 with CLIP's own mean and std, projected output."""

from plugins.inference.layouts.base import Layout
from plugins.inference.layouts.embedding import PixelFormat

FORMAT = PixelFormat(
    "clip",
    mean=(0.48145466 * 255, 0.4578275 * 255, 0.40821073 * 255),
    std=(0.26862954 * 255, 0.26130258 * 255, 0.27577711 * 255),
    output="image_embeds",
)
LAYOUT = Layout("clip", "person_reid", FORMAT.choose_size, FORMAT.adapt, FORMAT.reference)
