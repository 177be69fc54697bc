# Two stages: the first has what builds, the second only what runs. Works with any image that has python3 with venv.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /src
COPY requirements/run.txt requirements/build.txt requirements/
RUN ["python3", "-m", "venv", "/opt/build"]
RUN ["/opt/build/bin/python", "-m", "pip", "install", "--no-cache-dir", "--require-hashes", "--requirement", "requirements/build.txt"]
RUN ["python3", "-m", "venv", "/opt/watchslo"]
RUN ["/opt/watchslo/bin/python", "-m", "pip", "install", "--no-cache-dir", "--require-hashes", "--requirement", "requirements/run.txt"]
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY exporter exporter
RUN ["/opt/build/bin/python", "-m", "pip", "wheel", "--no-cache-dir", "--no-deps", "--no-build-isolation", "--wheel-dir", "/src/dist", "."]
RUN ["/opt/watchslo/bin/python", "-m", "pip", "install", "--no-cache-dir", "--no-deps", "--no-index", "--find-links", "/src/dist", "watchslo"]
# Nothing is installed later: pip would only be something to scan.
RUN ["/opt/watchslo/bin/python", "-m", "pip", "uninstall", "--yes", "pip"]

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="watchslo" \
      org.opencontainers.image.description="How late are my Kubernetes watches, and whose fault is it?" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/watchslo /opt/watchslo
# A number: Kubernetes cannot tell whether a name is root.
USER 65532:65532
EXPOSE 9985
HEALTHCHECK --interval=30s --timeout=5s CMD ["/opt/watchslo/bin/watchslo", "healthcheck"]
ENTRYPOINT ["/opt/watchslo/bin/watchslo"]
CMD ["run"]
