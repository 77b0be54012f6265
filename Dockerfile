# syntax=docker/dockerfile:1
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY meshproxy meshproxy
RUN python -m venv /opt/meshproxy && /opt/meshproxy/bin/pip install --no-cache-dir --no-compile .

FROM python:3.13-slim
COPY --from=build /opt/meshproxy /opt/meshproxy
ENV PATH=/opt/meshproxy/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# Istio's proxy user; writes nothing, so the root file system can be read-only
USER 1337:1337
EXPOSE 15000 15001
VOLUME /etc/meshproxy
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:15000/ready', timeout=2)"]
ENTRYPOINT ["meshproxy", "run", "--config", "/etc/meshproxy", "--listen", "0.0.0.0:15001"]
