"""The fields of nvinferserver's text configuration, as NVIDIA documents them for DeepStream 8.0.

Written down by hand from the plugin's documentation page and its samples, and only as far as our
texts could sensibly use; not NVIDIA's .proto file. ``message`` builds a protobuf class from it, so
that text_format refuses unknown fields, wrong types and unknown enum values.
"""

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

ENUMS = {
    "MediaFormat": "MEDIA_FORMAT_NONE IMAGE_FORMAT_RGB IMAGE_FORMAT_BGR IMAGE_FORMAT_GRAY",
    "TensorOrder": "TENSOR_ORDER_NONE TENSOR_ORDER_LINEAR TENSOR_ORDER_NHWC",
    "ScalingHW": "FRAME_SCALING_HW_DEFAULT FRAME_SCALING_HW_GPU FRAME_SCALING_HW_VIC",
    "MemoryType": "MEMORY_TYPE_DEFAULT MEMORY_TYPE_CPU MEMORY_TYPE_GPU",
    "ProcessMode": "PROCESS_MODE_DEFAULT PROCESS_MODE_FULL_FRAME PROCESS_MODE_CLIP_OBJECTS",
    "DataType": "TENSOR_DT_NONE TENSOR_DT_FP32 TENSOR_DT_FP16 TENSOR_DT_INT8 TENSOR_DT_INT16"
    " TENSOR_DT_INT32 TENSOR_DT_UINT8 TENSOR_DT_UINT16 TENSOR_DT_UINT32",
}
# "field type"; a star repeats it.
MESSAGES = {
    "Config": "infer_config InferConfig, input_control InputControl, output_control OutputControl",
    "InferConfig": "unique_id uint32, gpu_ids int32*, max_batch_size uint32, backend Backend,"
    " preprocess Preprocess, postprocess Postprocess, extra Extra, custom_lib CustomLib,"
    " clip_object_outside_roi bool",
    "Backend": "inputs Input*, outputs Output*, triton Triton, output_mem_type MemoryType,"
    " disable_warmup bool",
    "Input": "name string, dims int32*, data_type DataType",
    "Output": "name string",
    "Triton": "model_name string, version int64, model_repo ModelRepo, grpc Grpc",
    "ModelRepo": "root string, log_level uint32, strict_model_config bool, backend_dir string,"
    " min_compute_capacity double, pinned_memory_pool_byte_size int64",
    "Grpc": "url string, enable_cuda_buffer_sharing bool",
    "Preprocess": "network_format MediaFormat, tensor_order TensorOrder, tensor_name string,"
    " maintain_aspect_ratio int32, symmetric_padding int32, frame_scaling_hw ScalingHW,"
    " frame_scaling_filter uint32, normalize Normalize",
    "Normalize": "scale_factor float, channel_offsets float*, mean_file string",
    "Postprocess": "labelfile_path string, other Other",
    "Other": "type_name string",
    "Extra": "copy_input_to_host_buffers bool, output_buffer_pool_size int32,"
    " custom_process_funcion string",
    "CustomLib": "path string",
    "InputControl": "process_mode ProcessMode, operate_on_gie_id int32, operate_on_class_ids"
    " int32*, interval uint32, async_mode bool, object_control ObjectControl,"
    " secondary_reinfer_interval uint32",
    "ObjectControl": "bbox_filter BBoxFilter",
    "BBoxFilter": "min_width uint32, min_height uint32, max_width uint32, max_height uint32",
    "OutputControl": "output_tensor_meta bool, classifier_type string",
}
FIELD = descriptor_pb2.FieldDescriptorProto


def message():
    """An empty configuration."""
    file = descriptor_pb2.FileDescriptorProto(name="nvinferserver.proto", package="nv")
    file.syntax = "proto3"
    for name, values in ENUMS.items():
        enum = file.enum_type.add(name=name)
        for number, value in enumerate(values.split()):
            enum.value.add(name=value, number=number)
    for name, fields in MESSAGES.items():
        made = file.message_type.add(name=name)
        for number, field in enumerate(fields.split(","), 1):
            _add_field(made, number, *field.split())
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("nv.Config"))()


def _add_field(made, number: int, name: str, kind: str) -> None:
    repeated = FIELD.LABEL_REPEATED if kind.endswith("*") else FIELD.LABEL_OPTIONAL
    kind = kind.rstrip("*")
    field = made.field.add(name=name, number=number, label=repeated)
    if kind in MESSAGES or kind in ENUMS:
        field.type = FIELD.TYPE_MESSAGE if kind in MESSAGES else FIELD.TYPE_ENUM
        field.type_name = f".nv.{kind}"
    else:
        field.type = getattr(FIELD, f"TYPE_{kind.upper()}")
