# syntax=docker/dockerfile:1
# linux/amd64 and linux/arm64: for both every locked dependency is a wheel, the Solace client included.
# A tag can move. Whoever needs the same base for ever gives its digest (docs/install.md).
ARG PYTHON=python:3.11.14-slim-bookworm

FROM ${PYTHON} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# Dependencies first: they change less often than the code. The environment gets no pip.
COPY requirements/ requirements/
RUN python -m venv --without-pip /opt/eatool \
 && python -m pip --quiet --python /opt/eatool/bin/python install \
      --require-hashes --only-binary :all: -r requirements/runtime.txt
RUN python -m pip --quiet install --require-hashes --only-binary :all: -r requirements/build.txt
COPY pyproject.toml README.md ./
COPY operator/ operator/
RUN python -m pip --quiet wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && python -m pip --quiet --python /opt/eatool/bin/python install --no-deps --no-index /dist/*.whl

FROM ${PYTHON}
ARG VERSION=0.0.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="eatool-operator" \
      org.opencontainers.image.description="Declarative, event-sourced enterprise-architecture registry on Kubernetes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
# What runs needs no installer: less to scan, less to misuse.
RUN python -m pip uninstall --yes --quiet pip setuptools wheel \
 && rm -rf /usr/local/lib/python3.11/ensurepip \
 && mkdir -p /var/lib/eatool && chown 65532:65532 /var/lib/eatool
COPY --from=build /opt/eatool /opt/eatool
# A number has no home of its own, and libraries look for one while they are imported.
ENV PATH=/opt/eatool/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# By number, so that the kubelet can prove it is not root. Writes go to /tmp and /var/lib/eatool.
USER 65532:65532
WORKDIR /var/lib/eatool
EXPOSE 8080
ENTRYPOINT ["eatool"]
CMD ["run"]
