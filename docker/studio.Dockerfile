# The studio: a web page that uses the API. Build it in the root of the project:
#   docker build -f docker/studio.Dockerfile -t movieplots-studio .
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE requirements-studio.txt ./
COPY movieplots movieplots
RUN mkdir -p models data/sample && python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir -r requirements-studio.txt \
    && /venv/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim
RUN useradd --create-home --uid 1000 movieplots && mkdir /data && chown movieplots /data
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1
USER movieplots
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=2)"]
CMD ["movieplots", "studio", "--host", "0.0.0.0", "--port", "8501", "--api", "http://api:8000", "--history", "/data/ideas.sqlite"]
