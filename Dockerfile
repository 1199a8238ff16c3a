# The service in one image; `compose.yaml` says which command each process runs.
#
# PYTHON_IMAGE may name any image with Python 3.11 or newer as `python3`.
ARG PYTHON_IMAGE=python:3.13-slim

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
RUN python3 -m venv /opt/payments
COPY requirements.lock ./
RUN /opt/payments/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml requirements-dev.lock ./
COPY domain domain
COPY ports ports
COPY service service
COPY adapters adapters
COPY migrations migrations
# The build backend is a development dependency: it is locked, and does not stay.
RUN python3 -m venv /tmp/builder \
    && /tmp/builder/bin/pip install --no-cache-dir --require-hashes -r requirements-dev.lock \
    && /tmp/builder/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation -w /tmp/wheel . \
    && /opt/payments/bin/pip install --no-cache-dir --no-deps /tmp/wheel/*.whl

FROM ${PYTHON_IMAGE}
COPY --from=build /opt/payments /opt/payments
ENV PATH=/opt/payments/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# No name, no home, no shell: an id is all the process needs.
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["payments"]
CMD ["serve", "--host", "0.0.0.0"]
