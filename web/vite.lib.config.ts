import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

/** The components as a library: one module and one style sheet, without React and Stripe. */
export default defineConfig({
  plugins: [react()],
  build: {
    target: "es2022",
    outDir: "dist-lib",
    copyPublicDir: false,
    lib: { entry: "src/index.ts", formats: ["es"], fileName: "index", cssFileName: "style" },
    rolldownOptions: { external: [/^react/, /^@stripe\//, /^openapi-fetch/, /^swr/] },
  },
});
