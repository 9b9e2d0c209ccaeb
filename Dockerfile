# The canvas server. Build and run:
#   docker build --tag infgen .
#   docker run --rm --read-only --tmpfs /tmp --publish 8600:8600 --env INFGEN_TOKEN --volume infgen:/data infgen
# The build argument PIP_EXTRA_INDEX_URL names another package index, for example one with CPU builds of PyTorch.

FROM python:3.11-slim-bookworm AS build
ARG PIP_EXTRA_INDEX_URL=""
WORKDIR /src
COPY . .
RUN python -m venv /opt/infgen \
    && /opt/infgen/bin/pip install --no-cache-dir --constraint constraints.txt '.[serve]' \
    && /opt/infgen/bin/python -m compileall -q /opt/infgen

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /data infgen \
    && install --directory --owner 10001 --group 10001 /data
COPY --from=build /opt/infgen /opt/infgen
ENV PATH=/opt/infgen/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    INFGEN_HOST=0.0.0.0 \
    INFGEN_DATA=/data \
    INFGEN_LOG_FORMAT=json
USER 10001:10001
VOLUME /data
EXPOSE 8600
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8600/health/ready', timeout=4)"]
ENTRYPOINT ["infgen"]
CMD ["serve"]
