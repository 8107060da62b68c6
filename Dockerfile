# One file for every image. From the repository's root:
#   docker build --target operator -t distillation/operator:0.1.0 .
#   docker build --target trainer  -t distillation/trainer:0.1.0 .
#   docker build --target server   -t distillation/server:0.1.0 .
# Each target installs the distributions that it needs and no other: the operator's image has no torch, the trainer's
# no Kubernetes client. The base is an argument for those who build on their own, or on one with CUDA.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS base
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PATH=/opt/venv/bin:$PATH
# By number, so that Kubernetes can see that it is not root (runAsNonRoot).
RUN echo "distill:x:65532:" >> /etc/group && echo "distill:x:65532:65532::/home/distill:/usr/sbin/nologin" >> /etc/passwd \
    && mkdir -p /home/distill && chown 65532:65532 /home/distill
WORKDIR /home/distill

# Installing is done apart, so that pip, sources and caches stay out of what runs.
FROM base AS build
# Where packages come from is the builder's matter: a pip.conf as build secret (id pipconf), never in a layer.
RUN python3 -m venv /opt/venv
WORKDIR /src
COPY constraints.txt ./
COPY crds/pyproject.toml crds/pyproject.toml
COPY crds/src crds/src
RUN --mount=type=secret,id=pipconf,target=/etc/pip.conf,required=false \
    pip install --no-cache-dir -c constraints.txt ./crds

FROM build AS build-operator
COPY operator operator
RUN --mount=type=secret,id=pipconf,target=/etc/pip.conf,required=false \
    pip install --no-cache-dir -c constraints.txt ./operator \
    && pip uninstall -y pip

FROM build AS build-trainer
COPY trainer trainer
RUN --mount=type=secret,id=pipconf,target=/etc/pip.conf,required=false \
    pip install --no-cache-dir -c constraints.txt "./trainer[builtin,huggingface,vision,lora,energy,remote]" \
    && pip uninstall -y pip

FROM build AS build-server
COPY trainer trainer
RUN --mount=type=secret,id=pipconf,target=/etc/pip.conf,required=false \
    pip install --no-cache-dir -c constraints.txt "./trainer[server,huggingface,vision]" \
    && pip uninstall -y pip

# Everything that the tests of the Python code need; those on a cluster build Kubernetes, which is not in here.
FROM build AS test
COPY . .
RUN --mount=type=secret,id=pipconf,target=/etc/pip.conf,required=false \
    pip install --no-cache-dir -c constraints.txt -e "./crds[generate]" -e ./operator \
    -e "./trainer[builtin,huggingface,vision,lora,energy,remote,server]" -e ./local -e "./cli[demo]" \
    ruff mypy import-linter pytest pytest-asyncio pytest-xdist hypothesis jsonschema types-PyYAML types-psutil \
    grafana-foundation-sdk 'moto[s3]' flask flask-cors gcp-storage-emulator \
    && chown -R 65532:65532 /src
USER 65532:65532
CMD ["python", "-m", "pytest", "-m", "not cluster and not kserve"]

FROM base AS operator
COPY --from=build-operator /opt/venv /opt/venv
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["python", "-m", "distill_operator"]

FROM base AS trainer
# training.compile makes kernels with it: for CPUs, and the starters of Triton's for GPUs. A base that is no Debian brings its own.
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
COPY --from=build-trainer /opt/venv /opt/venv
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["python", "-m", "distill_trainer"]

FROM base AS server
COPY --from=build-server /opt/venv /opt/venv
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["python", "-m", "distill_server"]
