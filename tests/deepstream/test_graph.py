"""The pipeline's plan: what is made, with which properties, and how it hangs together."""

from collections import defaultdict
from pathlib import Path

import pytest

from plugins.deepstream.configuration import ConfigFiles, DeepStreamSettings
from plugins.deepstream.graph import build_graph
from plugins.deepstream.gst_parts import GstParts
from plugins.deepstream.presence import ELEMENTS
from plugins.errors import SpotOnError
from plugins.gst.gstreamer import Gst, free

CAMERAS = ("c01", "c02", "c03", "c05")


class RecordingParts:
    """Writes down what it is asked for; refuses names that are taken and links into nothing."""

    def __init__(self) -> None:
        self.made: dict[str, tuple[str, dict]] = {}
        self.links: list[tuple[str, str]] = []
        self.pads: dict[tuple[str, str], tuple[str | None, str | None]] = {}

    def make(self, factory, name, **properties) -> None:
        assert name not in self.made
        self.made[name] = (factory, properties)

    def link(self, source, target, source_pad=None, target_pad=None) -> None:
        assert source in self.made
        assert target in self.made
        self.links.append((source, target))
        self.pads[source, target] = (source_pad, target_pad)

    def factories(self) -> list[str]:
        return [factory for factory, _ in self.made.values()]

    def paths(self, start: str) -> list[list[str]]:
        """Every way from an element to a sink."""
        following = defaultdict(list)
        for source, target in self.links:
            following[source].append(target)
        if not following[start]:
            return [[start]]
        return [[start, *rest] for target in following[start] for rest in self.paths(target)]


def settings(**changes) -> DeepStreamSettings:
    values = {
        "configs": Path("configs"),
        "model_repository": Path("models"),
        "triton_url": "triton:8001",
        "work_dir": Path("work"),
    }
    return DeepStreamSettings(**values | changes)


def files(tracker: Path | None = None) -> ConfigFiles:
    return ConfigFiles(Path("mux.ini"), Path("detector.txt"), Path("embedder.txt"), tracker)


def recorded(tracker: Path | None = None, **changes) -> RecordingParts:
    parts = RecordingParts()
    build_graph(parts, CAMERAS, files(tracker), settings(**changes))
    return parts


def test_every_camera_s_source_leads_through_both_models_to_its_sinks():
    """Multiplexer, detector and embedder come in this order on every way."""
    parts = recorded()
    for camera_id in CAMERAS:
        ways = parts.paths(f"in-{camera_id}")
        ends = {way[-1] for way in ways}
        assert ends == {f"{b}-{c}" for b in ("pictures", "jpegs") for c in CAMERAS}
        stages = [n for n in ways[0] if n in {"mux", "detect", "track", "embed", "demux"}]
        assert stages == ["mux", "detect", "embed", "demux"]


def test_pad_of_a_camera_is_the_same_at_multiplexer_and_demultiplexer():
    parts = recorded()
    for number, camera_id in enumerate(CAMERAS):
        assert parts.pads[f"decode-{camera_id}", "mux"] == ("src", f"sink_{number}")
        assert parts.pads["demux", f"queue-{camera_id}"] == (f"src_{number}", "sink")


def test_new_multiplexer_keeps_the_recordings_times_and_scales_nothing():
    _, properties = recorded().made["mux"]
    assert properties["attach_sys_ts"] is False
    assert properties["batch_size"] == len(CAMERAS)
    assert not {"width", "height", "batched_push_timeout"} & set(properties)


def test_sub_videos_follow_each_other_in_one_source_a_camera():
    """As many sources as cameras, whatever there is to play."""
    factories = recorded().factories()
    assert factories.count("appsrc") == len(CAMERAS)
    assert factories.count("nvv4l2decoder") == len(CAMERAS)


def test_sinks_hold_nothing_up_and_jpegs_are_made_on_the_device():
    parts = recorded(jpeg_quality=71)
    for camera_id in CAMERAS:
        for branch in ("pictures", "jpegs"):
            _, properties = parts.made[f"{branch}-{camera_id}"]
            assert properties == {"sync": False, "async_": False, "max_buffers": 0, "drop": False}
        factory, properties = parts.made[f"encode-{camera_id}"]
        assert (factory, properties) == ("nvjpegenc", {"quality": 71})
        assert "memory:NVMM" in parts.made[f"jpegs-form-{camera_id}"][1]["caps"]
        assert "memory:NVMM" not in parts.made[f"pictures-form-{camera_id}"][1]["caps"]


@pytest.mark.parametrize("inference", ["triton", "in_process", "nvinfer"])
def test_inference_setting_names_the_plugin_of_both_models(inference):
    parts = recorded(inference=inference)
    plugin = "nvinfer" if inference == "nvinfer" else "nvinferserver"
    assert parts.made["detect"] == (plugin, {"config_file_path": "detector.txt"})
    assert parts.made["embed"] == (plugin, {"config_file_path": "embedder.txt"})


def test_tracker_setting_puts_nvdcf_between_the_models():
    assert "nvtracker" not in recorded().factories()
    parts = recorded(tracker=Path("tracker.yml"))
    way = parts.paths("in-c01")[0]
    assert way.index("detect") < way.index("track") < way.index("embed")
    assert parts.made["track"][1]["ll_config_file"] == "tracker.yml"


def test_every_element_of_nvidia_s_is_one_the_profile_asks_for():
    """So that ``auto`` never chooses a profile that lacks one."""
    used = {*recorded(tracker=Path("t")).factories(), *recorded(inference="nvinfer").factories()}
    assert {factory for factory in used if factory.startswith("nv")} == set(ELEMENTS)


def test_real_parts_name_the_element_that_is_missing():
    parts = GstParts()
    if Gst.ElementFactory.find("nvstreammux") is not None:
        pytest.skip("this machine has DeepStream")
    with pytest.raises(SpotOnError, match=r"no element nv.*spoton doctor"):
        build_graph(parts, CAMERAS, files(), settings())
    free(parts.pipeline)


def test_real_parts_set_properties_and_refuse_unknown_ones():
    parts = GstParts()
    parts.make("queue", "q", max_size_buffers=7)
    assert parts.element("q").get_property("max-size-buffers") == 7
    with pytest.raises(SpotOnError, match="no property width"):
        parts.make("queue", "r", width=4)
    parts.make("videotestsrc", "video")
    parts.make("audioconvert", "audio")
    with pytest.raises(SpotOnError, match="cannot link video to audio"):
        parts.link("video", "audio")
    free(parts.pipeline)
