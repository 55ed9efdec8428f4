# Builds TensorRT plans with the trtexec of the Triton that serves them, then ends.
# NVIDIA_REGISTRY is the host name of NVIDIA's container registry; compose.yaml passes it on.
ARG NVIDIA_REGISTRY
FROM ${NVIDIA_REGISTRY}/nvidia/tritonserver:25.03-py3

ENV DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /opt/spoton

COPY docker/install-system-packages.sh docker/
RUN sh docker/install-system-packages.sh && rm -rf /var/lib/apt/lists/*

COPY requirements/app.txt requirements/
RUN /usr/bin/python3 -m venv --system-site-packages .venv \
    && .venv/bin/python -m pip install --require-hashes -r requirements/app.txt

COPY pyproject.toml README.md ./
COPY homography homography
COPY plugins plugins
COPY control_plane control_plane
COPY training training
COPY deepstream_configs deepstream_configs
RUN .venv/bin/python -m pip install --no-deps --no-build-isolation --editable . \
    && (id -u 1000 >/dev/null 2>&1 || useradd --uid 1000 --create-home --shell /usr/sbin/nologin spoton) \
    && install -d -o 1000 -g 1000 /var/lib/spoton

ENV PATH=/opt/spoton/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 SPOTON_DATA_DIR=/var/lib/spoton \
    SPOTON_LOG_FORMAT=json NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 1000
STOPSIGNAL SIGTERM
ENTRYPOINT ["spoton"]
CMD ["models", "build", "--missing"]
