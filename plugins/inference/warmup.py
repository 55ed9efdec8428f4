"""``model_warmup`` for Triton: the first picture is answered as fast as the thousandth.

Triton wants the exact size of a picture, which differs from engine to engine; so the section is
written for the engine that serves, at the end of each profile's configuration.
"""

from pathlib import Path

from plugins.inference.served_model import CONTRACT
from plugins.inference.serving import config_files, write_whole

BEGIN = "# Written for the installed engine; see plugins/inference/warmup.py."
WARM_BATCHES: dict[str, tuple[int, ...]] = {"person_detector": (1, 4), "person_reid": (1, 16)}


def write_warmups(folder: Path, size_hw: tuple[int, int] | None) -> None:
    """The section in every configuration of the model whose folder is given, in place of an earlier
    one; ``size_hw`` is the serving engine's input, None for no warm-up.
    """
    batches = WARM_BATCHES[folder.name] if size_hw else ()
    sections = [_section(CONTRACT[folder.name][0], size_hw or (0, 0), batch) for batch in batches]
    for config in config_files(folder):
        before = config.read_text("utf-8")
        text = before.partition(BEGIN)[0].rstrip("\n")
        after = "\n".join((text, *([BEGIN, *sections] if sections else []), ""))
        if after != before:
            write_whole(config, after)


def _section(input_name: str, size_hw: tuple[int, int], batch: int) -> str:
    height, width = size_hw
    return (
        f'model_warmup {{ name: "batch_{batch}" batch_size: {batch} inputs {{ key: "{input_name}" '
        f"value {{ data_type: TYPE_UINT8 dims: [ 3, {height}, {width} ] random_data: true }} }} }}"
    )
