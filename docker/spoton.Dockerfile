# Control plane, and the whole of SpotOn on machines without a GPU (`spoton up`).
FROM debian:12.11-slim

ENV DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /opt/spoton

# Each layer changes less often than the one after it.
COPY docker/install-system-packages.sh docker/
RUN sh docker/install-system-packages.sh && rm -rf /var/lib/apt/lists/*

COPY requirements/triton.txt requirements/
RUN /usr/bin/python3 -m venv .venv-triton \
    && .venv-triton/bin/python -m pip install --no-deps --require-hashes -r requirements/triton.txt

COPY requirements/app.txt requirements/
RUN /usr/bin/python3 -m venv --system-site-packages .venv \
    && .venv/bin/python -m pip install --require-hashes -r requirements/app.txt

COPY pyproject.toml README.md ./
COPY homography homography
COPY plugins plugins
COPY control_plane control_plane
COPY training training
COPY deepstream_configs deepstream_configs
COPY model_repository model_repository
RUN .venv/bin/python -m pip install --no-deps --no-build-isolation --editable . \
    && useradd --uid 1000 --create-home --shell /usr/sbin/nologin spoton \
    && install -d -o spoton -g spoton /var/lib/spoton

ENV PATH=/opt/spoton/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 SPOTON_DATA_DIR=/var/lib/spoton \
    SPOTON_HOST=0.0.0.0 SPOTON_LOG_FORMAT=json
USER 1000
EXPOSE 3847
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:3847/live', timeout=2)"]
ENTRYPOINT ["spoton"]
CMD ["api"]
