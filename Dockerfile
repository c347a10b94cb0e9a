# MKD as a container. Default target: CUDA 12 with cuDNN 9. `--target cpu` builds the smaller CPU image.
ARG NODE_VERSION=24.21.0

# --- the compiled service and its production dependencies
FROM node:${NODE_VERSION}-bookworm-slim AS build
# The first process of a container cannot end itself by a signal, as the service must if a thread hangs.
RUN apt-get update && apt-get install -y --no-install-recommends tini=0.19.* && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY package.json package-lock.json .npmrc tsconfig.json ./
RUN npm ci --ignore-scripts
COPY src ./src
# The page has them.
COPY examples ./examples
COPY test ./test
COPY bench ./bench
# onnxruntime-node has the libraries of all systems.
RUN npm run build && npm prune --omit=dev --ignore-scripts \
    && rm -rf node_modules/onnxruntime-node/bin/napi-v6/darwin node_modules/onnxruntime-node/bin/napi-v6/win32

# --- the same with the CUDA libraries that onnxruntime-node's own script fetches
FROM build AS build-cuda
WORKDIR /app/node_modules/onnxruntime-node
RUN ONNXRUNTIME_NODE_INSTALL=cuda12 npm_config_onnxruntime_node_install=cuda12 node script/install.js

FROM node:${NODE_VERSION}-bookworm-slim AS cpu
WORKDIR /app
COPY --from=build /usr/bin/tini-static /usr/local/bin/tini
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist/src ./dist/src
COPY package.json ./
COPY models ./models
ENV NODE_ENV=production PORT=8080
# The user node of the base image.
USER 1000
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["node", "dist/src/cli/health.js"]
# Its first line sets how memory is allocated.
ENTRYPOINT ["/usr/local/bin/tini", "--", "/app/dist/src/cli/main.js"]
CMD ["serve"]

# --- CUDA runtime with cuDNN; Node is copied from the official image
FROM nvidia/cuda:12.6.3-cudnn-runtime-ubuntu24.04 AS cuda
COPY --from=build /usr/local/bin/node /usr/local/bin/node
WORKDIR /app
COPY --from=build /usr/bin/tini-static /usr/local/bin/tini
COPY --from=build-cuda /app/node_modules ./node_modules
COPY --from=build /app/dist/src ./dist/src
COPY package.json ./
COPY models ./models
ENV NODE_ENV=production PORT=8080
RUN useradd --system --uid 10001 --create-home --shell /usr/sbin/nologin mkd
USER 10001
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s \
    CMD ["node", "dist/src/cli/health.js"]
# Its first line sets how memory is allocated.
ENTRYPOINT ["/usr/local/bin/tini", "--", "/app/dist/src/cli/main.js"]
CMD ["serve"]
