import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

// Where the gateway is, for `npm run dev`.
const GATEWAY = process.env.GATEWAY ?? "http://127.0.0.1:8000";
const behindTheGateway = ["/api", "/session", "/sandbox"];

export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    // Nothing inline: the page's Content-Security-Policy would refuse it.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: Object.fromEntries(behindTheGateway.map((path) => [path, GATEWAY])),
  },
  test: {
    include: ["tests/**/*.test.{ts,tsx}"],
    environment: "jsdom",
    environmentOptions: { jsdom: { url: "http://localhost:8000/" } },
    setupFiles: ["tests/setup.ts"],
    restoreMocks: true,
    // Far more than any takes, so that a busy machine fails none.
    testTimeout: 30_000,
    env: { TZ: "UTC" },
  },
});
