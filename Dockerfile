# The operator. BASE is any image with a python3 >= 3.11 that has venv, and CA certificates; build
# and run take the same one, since a virtual environment points at the interpreter it was made with.
# Built twice on the same base, with all times set to one, it is the same image: nothing in here may
# depend on when, or in which directory, it is built.
ARG BASE=docker.io/library/python:3.13-slim-bookworm

FROM ${BASE} AS build
# uv and pip bring certificates of their own; a mounted CA bundle is honoured only if it is named.
# Bytecode is valid without a look at the time of its source, which is none of when it was written.
ENV SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PIP_CERT=/etc/ssl/certs/ca-certificates.crt \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    UV_NO_CACHE=1 \
    UV_NO_PROGRESS=1 \
    UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1 \
    PYC_INVALIDATION_MODE=UNCHECKED_HASH \
    UV_PYTHON=python3 \
    UV_PYTHON_DOWNLOADS=never \
    UV_PROJECT_ENVIRONMENT=/opt/agentherd
RUN python3 -m venv /opt/uv && /opt/uv/bin/pip install --quiet uv==0.13.8
WORKDIR /src
COPY pyproject.toml uv.lock ./
RUN /opt/uv/bin/uv sync --locked --no-default-groups --extra tracing --no-install-project
COPY README.md LICENSE ./
COPY operator operator
# uv notes for its next run when it has seen the project's files; there is none.
RUN /opt/uv/bin/uv sync --locked --no-default-groups --extra tracing --no-editable \
 && rm /opt/agentherd/lib/python3*/site-packages/agentherd-*.dist-info/uv_cache.json \
 && sed -i /uv_cache.json/d /opt/agentherd/lib/python3*/site-packages/agentherd-*.dist-info/RECORD

# What the base has for building and for installing is of use to an intruder only: nothing is
# installed in a container that runs, and nobody changes user. The list of packages stays, scanners
# read it. perl is there for dpkg alone; the rest is documentation.
FROM ${BASE} AS root
RUN rm -rf \
      /etc/apt /usr/bin/apt* /usr/lib/apt /usr/lib/*/libapt-* /var/lib/apt \
      /usr/bin/dpkg* /usr/sbin/dpkg* /usr/lib/dpkg /usr/share/dpkg /var/lib/dpkg/info \
      /usr/bin/perl* /usr/lib/*/perl-base /usr/share/perl* \
      /usr/bin/pip* /usr/local/bin/pip* /usr/share/python-wheels \
      /usr/lib/python3*/ensurepip /usr/local/lib/python3*/ensurepip \
      /usr/local/lib/python3*/site-packages/pip* \
      /usr/lib/python3*/lib2to3 /usr/lib/python3*/pydoc_data \
      /usr/share/doc /usr/share/info /usr/share/locale /usr/share/man \
      /var/cache/* /var/log/* /tmp/* \
 && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
 && python3 -m compileall -q -f --invalidation-mode unchecked-hash \
      "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"

# From nothing, because a file deleted in a later layer is still shipped in the earlier one.
FROM scratch
COPY --from=root / /
COPY --from=build /opt/agentherd /opt/agentherd
# The root file system is read-only when it runs, so bytecode was written at build time.
ENV PATH=/opt/agentherd/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
LABEL org.opencontainers.image.title="agentherd" \
      org.opencontainers.image.description="The Agentherd operator" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["agentherd", "run"]
