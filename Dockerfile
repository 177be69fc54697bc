# Two stages: the first has what builds, the second only what runs. Works with any image that has python3 with venv.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
# For a network that has its own way to the package index.
ARG PIP_INDEX_URL
ARG PIP_CERT
# Bytecode must not depend on the order in which a set happens to be written.
ENV PYTHONHASHSEED=0
WORKDIR /src
COPY requirements/run.txt requirements/build.txt requirements/
RUN ["python3", "-m", "venv", "/opt/build"]
RUN ["/opt/build/bin/python", "-m", "pip", "install", "--no-cache-dir", "--only-binary=:all:", "--require-hashes", "--requirement", "requirements/build.txt"]
# Nothing is installed later: pip would only be something to scan.
RUN ["python3", "-m", "venv", "--without-pip", "/opt/watchslo"]
RUN ["/opt/build/bin/python", "-m", "pip", "--python", "/opt/watchslo/bin/python", "install", "--no-cache-dir", "--no-compile", "--only-binary=:all:", "--require-hashes", "--requirement", "requirements/run.txt"]
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY exporter exporter
RUN ["/opt/build/bin/python", "-m", "pip", "wheel", "--no-cache-dir", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist", "."]
RUN ["/opt/build/bin/python", "-m", "pip", "--python", "/opt/watchslo/bin/python", "install", "--no-cache-dir", "--no-compile", "--no-deps", "--no-index", "--find-links", "dist", "watchslo"]
# Compiled here, for good: a read-only root cannot keep bytecode, and what holds a time differs from build to build. Not
# the client of kubernetes_asyncio, 20 MB of bytecode that is never loaded (exporter/credentials/kubeconfig.py).
RUN ["/opt/watchslo/bin/python", "-m", "compileall", "-q", "-f", "--invalidation-mode", "unchecked-hash", "-x", "/kubernetes_asyncio/client/(api|models)/", "/opt/watchslo/lib"]

FROM ${PYTHON_IMAGE}
ARG PYTHON_IMAGE
LABEL org.opencontainers.image.title="watchslo" \
      org.opencontainers.image.description="How late are my Kubernetes watches, and whose fault is it?" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}"
# The user has no entry and so no home; not every runtime makes one up, and kubernetes_asyncio cannot do without.
ENV HOME=/ PYTHONDONTWRITEBYTECODE=1
# Out with what bases bring and nothing here needs: pip, and programs that run as root whoever calls them. Python's own
# library is compiled as well: slim images ship it without bytecode, which is half of the time that a start takes.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3*/site-packages/pip* /usr/lib/python3/dist-packages/pip* \
        /usr/local/lib/python3*/ensurepip /usr/lib/python3*/ensurepip /usr/share/python-wheels \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && PYTHONHASHSEED=0 python3 -m compileall -q --invalidation-mode unchecked-hash -x '/(test|tests|idlelib|lib2to3|turtledemo)/' \
        "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"
COPY --from=build /opt/watchslo /opt/watchslo
# A number: Kubernetes cannot tell whether a name is root.
USER 65532:65532
EXPOSE 9985
HEALTHCHECK --interval=30s --timeout=5s CMD ["/opt/watchslo/bin/watchslo", "healthcheck"]
ENTRYPOINT ["/opt/watchslo/bin/watchslo"]
CMD ["run"]
