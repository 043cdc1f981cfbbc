# The image that builds the data and trains the models, on a GPU if there is one. Build from the repository's root:
#
#     docker build -f docker/train.Dockerfile -t cellsense-train:0.1.0 .
#     docker run --rm --gpus all -v "$PWD/data:/srv/cellsense/data" -v "$PWD/runs:/srv/cellsense/runs" cellsense-train:0.1.0 \
#         python -m models.train gated-fusion --seed 0

FROM debian:12.15-slim
# LLVM runs the ray tracer where there is no GPU; libatomic is needed by it everywhere.
# hadolint ignore=DL3008 # Debian keeps no older builds, so a pinned one could not be installed for long
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libatomic1 libllvm19 python3 python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 cellsense \
    && useradd --uid 10001 --gid 10001 --create-home cellsense
# ORT_DISABLE_TELEMETRY: ONNX Runtime reports to its maker unless it is told not to.
ENV PATH=/opt/cellsense/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    ORT_DISABLE_TELEMETRY=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /srv/cellsense
COPY docker/train.lock docker/
# With dependencies: the lock pins what every build of torch needs, and pip adds what the one for Linux needs beyond.
RUN python3 -m venv /opt/cellsense \
    && pip install --requirement docker/train.lock
COPY pyproject.toml README.md LICENSE ./
COPY service service
COPY models models
RUN pip install --no-deps --editable . \
    && pip check \
    && mkdir data runs \
    && chown cellsense:cellsense data runs models/zoo
VOLUME ["/srv/cellsense/data", "/srv/cellsense/runs"]
USER 10001:10001
CMD ["python", "-m", "models.train", "--help"]
