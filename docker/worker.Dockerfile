# The GPU worker: DeepStream 8.0 (Ubuntu 24.04, Python 3.12), its pyds, and SpotOn.
# NVIDIA_REGISTRY is the host name of NVIDIA's container registry; compose.yaml passes it on.
ARG NVIDIA_REGISTRY
FROM ${NVIDIA_REGISTRY}/nvidia/deepstream:8.0-triton-multiarch

ENV DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /opt/spoton

COPY docker/install-system-packages.sh docker/
RUN sh docker/install-system-packages.sh && rm -rf /var/lib/apt/lists/*

COPY requirements/app.txt requirements/
RUN /usr/bin/python3 -m venv --system-site-packages .venv \
    && .venv/bin/python -m pip install --require-hashes -r requirements/app.txt

# DeepStream's own bindings, from NVIDIA's release page: the package index has another "pyds".
ARG PYDS_WHEEL=https://github.com/NVIDIA-AI-IOT/deepstream_python_apps/releases/download/v1.2.2/pyds-1.2.2-cp312-cp312-linux_x86_64.whl
RUN .venv/bin/python -m pip install --no-deps "${PYDS_WHEEL}" \
    && .venv/bin/python -c "import pyds; pyds.gst_buffer_get_nvds_batch_meta"

COPY pyproject.toml README.md ./
COPY homography homography
COPY plugins plugins
COPY control_plane control_plane
COPY training training
COPY deepstream_configs deepstream_configs
RUN .venv/bin/python -m pip install --no-deps --no-build-isolation --editable . \
    && (id -u 1000 >/dev/null 2>&1 || useradd --uid 1000 --create-home --shell /usr/sbin/nologin spoton) \
    && install -d -o 1000 -g 1000 /var/lib/spoton

# The registry of plugins is made anew in each container: one written without a GPU lacks half.
ENV PATH=/opt/spoton/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 SPOTON_DATA_DIR=/var/lib/spoton \
    SPOTON_LOG_FORMAT=json SPOTON_PROFILE=gpu USE_NEW_NVSTREAMMUX=yes \
    GST_REGISTRY=/tmp/gstreamer-registry.bin NVIDIA_DRIVER_CAPABILITIES=compute,utility,video
USER 1000
STOPSIGNAL SIGTERM
ENTRYPOINT ["spoton"]
CMD ["worker"]
