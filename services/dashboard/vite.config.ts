import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// In development the page comes from Vite and everything else from a running gateway.
const gateway = process.env["ORDERWIRE_URL"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
  build: { assetsInlineLimit: 0, sourcemap: false },
  server: { proxy: { "/v1": { target: gateway, ws: true }, "/dev": gateway } },
  test: { environment: "jsdom", include: ["tests/**/*.test.{ts,tsx}"] },
});
