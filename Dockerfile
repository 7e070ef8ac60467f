# The server without its own PostgreSQL: BRAMLEY_DATABASE_URL (or _FILE) says where one is. See docs/containers.md.
# Node 26 is the Active LTS since October 2026.
FROM node:26-trixie-slim AS base
WORKDIR /app
COPY package.json package-lock.json .npmrc ./

# Everything that building needs, and what it makes: dist.
FROM base AS build
COPY scripts/ scripts/
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY src/ src/
RUN npm run build

# Only the packages that run. The embedded PostgreSQL is the one optional among them.
FROM base AS packages
RUN npm ci --ignore-scripts --omit=dev --omit=optional

FROM node:26-trixie-slim
ENV NODE_ENV=production BRAMLEY_DATA=/data
# The numbers, not a name: Kubernetes and volumes know only those. An empty volume takes owner and mode of the folder.
RUN install -d -o 10001 -g 10001 -m 0700 /data /run/bramley \
  && ln -s /app/scripts/bramley.mjs /usr/local/bin/bramley
WORKDIR /app
COPY --from=packages /app/node_modules/ node_modules/
COPY package.json ./
COPY migrations/ migrations/
COPY scripts/bramley.mjs scripts/boot.mjs scripts/boot-lock.mjs scripts/boot-stamp.mjs scripts/container-secrets.mjs scripts/
COPY --from=build /app/dist/ dist/
USER 10001:10001
EXPOSE 8443
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=4 CMD ["bramley", "healthcheck"]
# No shell in between: signals reach the server. It ends in order on SIGTERM.
ENTRYPOINT ["bramley"]
CMD ["serve"]
