# The service in one image; `compose.yaml` says which command each process runs.
#
# PYTHON_IMAGE may name any image with Python 3.11 or newer as `python3`, with its `venv`.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
RUN python3 -m venv /opt/payments && python3 -m venv /tmp/builder
COPY requirements.lock requirements-build.lock ./
# uv downloads side by side, and compiles what could not be compiled later.
RUN /tmp/builder/bin/pip install --no-cache-dir --require-hashes -r requirements-build.lock \
    && /tmp/builder/bin/uv pip install --python /opt/payments/bin/python3 --no-cache \
        --compile-bytecode --require-hashes -r requirements.lock
COPY pyproject.toml ./
COPY domain domain
COPY ports ports
COPY service service
COPY adapters adapters
COPY migrations migrations
RUN /tmp/builder/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation -w /tmp/wheel . \
    && /opt/payments/bin/pip install --no-cache-dir --no-deps /tmp/wheel/*.whl \
    # What runs installs nothing.
    && /opt/payments/bin/pip uninstall --yes --quiet pip

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/payments /opt/payments
# Nothing is written: the root file system may be read-only.
ENV PATH=/opt/payments/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# No name, no home, no shell: an id is all the process needs.
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s \
    CMD ["python3", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health/live', timeout=4)"]
ENTRYPOINT ["payments"]
# Workers listen on the same port, so that one health check and one scrape suit all processes.
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
