# The image of errgate: the compiled wheel and its pinned dependencies in a virtual environment, on a plain Python.
#
#   docker build -t errgate .                         the image
#   docker build --target sbom --output . .           sbom.cdx.json, what Python packages are in it (CycloneDX)
#
# The base is pinned by its digest; another one, or a mirror's, comes in by --build-arg PYTHON_IMAGE=…, and must be a
# Debian with Python 3.11 or later as python3, with venv and headers. Both stages stand on the same base, so that the
# environment's interpreter is where it was when it was made, and what was compiled meets the C library that it knows.
#
# pip asks the index that it is told of: by its default, or by what the two optional secrets say.
#   --secret id=pip,src=pip.conf      a pip.conf: an index of your own, its credentials
#   --secret id=ca,src=ca.pem         authorities to trust; named in that pip.conf as cert = /run/secrets/ca
ARG PYTHON_IMAGE=python:3.13-slim-trixie@sha256:9d2e5553305c7c7b0097999bb17187c69b921ccd6bc9d40e4bb5ebe652c00285

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
ENV PIP_CONFIG_FILE=/run/secrets/pip \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1

# The compiler of docs/decisions/0009-compiled.md. Debian keeps one version of each in its archive: a pinned one would be
# gone with the next mend of it.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc libc6-dev \
 && rm -rf /var/lib/apt/lists/*

# What builds, apart from what is built: neither pip nor a build backend nor a compiler is in the image.
COPY requirements-build.lock requirements-image.lock ./
RUN --mount=type=secret,id=pip --mount=type=secret,id=ca \
    python3 -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes --only-binary :all: -r requirements-build.lock -r requirements-image.lock

# The dependencies, which change less often than the sources; those of the extra `otel`, too: off, they cost nothing.
COPY requirements-otel.lock ./
RUN --mount=type=secret,id=pip --mount=type=secret,id=ca \
    python3 -m venv --without-pip /opt/errgate \
 && /opt/build/bin/pip --python /opt/errgate/bin/python install --no-compile --require-hashes --only-binary :all: \
    -r requirements-otel.lock

COPY pyproject.toml setup.py README.md LICENSE ./
COPY gateway gateway
COPY normalizers normalizers
# Byte code by the content of its source, so that no clock and no writable disk matters when it runs.
RUN ERRGATE_COMPILE=1 /opt/build/bin/pip wheel --no-deps --no-build-isolation --no-index --wheel-dir /tmp/wheel . \
 && /opt/build/bin/pip --python /opt/errgate/bin/python install --no-compile --no-deps --no-index /tmp/wheel/*.whl \
 && /opt/errgate/bin/python -m compileall -q --invalidation-mode unchecked-hash \
    /opt/errgate/lib \
 && /opt/build/bin/cyclonedx-py environment --output-reproducible --output-format JSON \
    --output-file /opt/errgate/sbom.cdx.json /opt/errgate/bin/python

FROM scratch AS sbom
COPY --from=build /opt/errgate/sbom.cdx.json /

FROM ${PYTHON_IMAGE}
ARG VERSION=""
ARG REVISION=""
ARG CREATED=""
ARG SOURCE=""
LABEL org.opencontainers.image.title="errgate" \
      org.opencontainers.image.description="A reverse proxy that turns every vendor's errors into one envelope with one vocabulary." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.source="${SOURCE}"
COPY --from=build --chown=0:0 /opt/errgate /opt/errgate
ENV PATH=/opt/errgate/bin:$PATH \
    ERRGATE_CONFIG=/etc/errgate/errgate.yaml \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# Numbers, since Kubernetes cannot tell that a name is not root's. Nothing is written but, with several workers, to /tmp.
USER 65532:65532
WORKDIR /tmp
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
# With another admin port: a health check of your own, `errgate healthcheck --admin-port N`.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["errgate", "healthcheck"]
ENTRYPOINT ["errgate"]
CMD ["serve"]
