# One image for every service of Rollcall; the command says which (docker-compose.yml). It holds Node, our code and what that
# needs: no shell, no package manager.
# Tags move: give NAME@sha256:DIGEST to build on what was looked at before (docs/operations.md).
ARG NODE_IMAGE=node:26-slim
ARG RUNTIME_IMAGE=gcr.io/distroless/nodejs26-debian13:nonroot

FROM ${NODE_IMAGE} AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci
COPY . .
RUN npm run build

FROM ${NODE_IMAGE} AS packages
WORKDIR /app
COPY package.json package-lock.json LICENSE ./
RUN npm ci --omit=dev --ignore-scripts && rm -rf /root/.npm
COPY --from=build /src/dist ./dist
# A fresh volume takes over owner and mode of the directory it is mounted on.
RUN mkdir /state && mkdir -m 0700 /state/data /state/fleet

FROM ${RUNTIME_IMAGE}
ENV NODE_ENV=production \
    MALLOC_TRIM_THRESHOLD_=65536
COPY --from=packages /app /app
# For the user nonroot of the base image.
COPY --from=packages --chown=65532:65532 /state/ /
WORKDIR /app
USER 65532:65532
VOLUME /data
EXPOSE 8883 8443 8880
ENTRYPOINT ["/nodejs/bin/node", "/app/dist/cli/main.js"]
CMD ["up", "--data", "/data", "--host", "0.0.0.0"]
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/nodejs/bin/node", "-e", "fetch('http://127.0.0.1:9464/readyz').then(answer => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
