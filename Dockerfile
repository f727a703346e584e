# One image for every service of Rollcall; the command says which (docker-compose.yml).
FROM node:24-slim AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci
COPY . .
RUN npm run build

FROM node:24-slim
ENV NODE_ENV=production \
    MALLOC_TRIM_THRESHOLD_=65536
WORKDIR /app
COPY package.json package-lock.json LICENSE ./
RUN npm ci --omit=dev --ignore-scripts && npm cache clean --force
COPY --from=build /src/dist ./dist
# A fresh volume takes over owner and mode of the directory it is mounted on.
RUN mkdir -m 0700 /data /fleet && chown node:node /data /fleet
USER node
VOLUME /data
EXPOSE 8883 8443 8880
ENTRYPOINT ["node", "/app/dist/cli/main.js"]
CMD ["up", "--data", "/data", "--host", "0.0.0.0"]
