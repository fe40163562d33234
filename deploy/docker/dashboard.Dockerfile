# syntax=docker/dockerfile:1
FROM node:22-bookworm-slim AS build
WORKDIR /src
COPY services/dashboard/package.json services/dashboard/package-lock.json services/dashboard/.npmrc ./
RUN --mount=type=cache,target=/root/.npm npm ci
COPY services/dashboard .
RUN npm run build

FROM caddy:2.11.9-alpine
# Port 8080 needs no privilege, so the file capability that the image carries is of no use; without it no-new-privileges holds.
RUN setcap -r /usr/bin/caddy
COPY deploy/docker/dashboard.Caddyfile /etc/caddy/Caddyfile
COPY --from=build /src/dist /srv
USER 65532:65532
