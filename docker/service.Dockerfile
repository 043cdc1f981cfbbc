# The serving images. Build from the root of the repository:
#
#     docker build -f docker/service.Dockerfile -t cellsense:0.1.0-cpu .                      # the last stage, cpu
#     docker build -f docker/service.Dockerfile -t cellsense:0.1.0-cuda --target cuda .
#     docker build -f docker/service.Dockerfile -t cellsense:0.1.0-demo --target demo .       # a controller for compose
#
# Debian 12 brings Python 3.11, with which the lock files are tested, and for which every package has a wheel.
# No package manager and no compiler of ours is left in an image, nor torch, nor the code that trains.

FROM debian:12.15-slim AS base
# hadolint ignore=DL3008 # Debian keeps no older builds, so a pinned one could not be installed for long
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/*

# ---- building: one virtual environment, into which pip installs from outside, so that pip itself stays here

FROM base AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-pip \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv --without-pip /opt/cellsense
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /source

# The package is the service and the artifacts that it serves; it needs no code of models/ to run.
FROM build AS wheel
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY models/zoo models/zoo
RUN python3 -m pip wheel --no-deps --wheel-dir /wheel .

FROM build AS build-cpu
COPY docker/service.lock docker/
RUN python3 -m pip --python /opt/cellsense/bin/python install --no-deps --requirement docker/service.lock
COPY --from=wheel /wheel /wheel
RUN python3 -m pip --python /opt/cellsense/bin/python install --no-deps /wheel/*.whl \
    && python3 -m pip --python /opt/cellsense/bin/python check

FROM build AS build-cuda
COPY docker/service-gpu.lock docker/
RUN python3 -m pip --python /opt/cellsense/bin/python install --no-deps --requirement docker/service-gpu.lock
COPY --from=wheel /wheel /wheel
RUN python3 -m pip --python /opt/cellsense/bin/python install --no-deps /wheel/*.whl \
    && python3 -m pip --python /opt/cellsense/bin/python check

FROM build-cpu AS build-demo
COPY docker/demo.lock docker/
RUN python3 -m pip --python /opt/cellsense/bin/python install --no-deps --requirement docker/demo.lock

# ---- running: as a user without rights, on a root that may be read-only; only /tmp has to be writable
# ORT_DISABLE_TELEMETRY: from its 1.29 on ONNX Runtime reports to its maker unless it is told not to.

FROM base AS runtime
RUN groupadd --system --gid 10001 cellsense \
    && useradd --system --uid 10001 --gid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin cellsense
ARG COMMIT=unknown
ENV PATH=/opt/cellsense/bin:${PATH} \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    CELLSENSE_COMMIT=${COMMIT} \
    CELLSENSE_HOST=0.0.0.0 \
    CELLSENSE_GRPC_PORT=8001 \
    CELLSENSE_LOG_FORMAT=json
WORKDIR /tmp
USER 10001:10001
EXPOSE 8000 8001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=90s --retries=3 CMD ["cellsense", "health"]
ENTRYPOINT ["cellsense"]
CMD ["serve"]

# CUDA and cuDNN come as Python packages with the lock; the driver comes with NVIDIA's container toolkit.
FROM runtime AS cuda
ENV CELLSENSE_PROVIDER=cuda \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=build-cuda /opt/cellsense /opt/cellsense

FROM runtime AS demo
HEALTHCHECK NONE
COPY --from=build-demo /opt/cellsense /opt/cellsense
CMD ["stream"]

FROM runtime AS cpu
COPY --from=build-cpu /opt/cellsense /opt/cellsense
