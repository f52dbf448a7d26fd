import { realpathSync } from "node:fs";
import { svelte } from "@sveltejs/vite-plugin-svelte";
import { svelteTesting } from "@testing-library/svelte/vite";
import { defineConfig } from "vitest/config";

// The page is built into the package, from where the server serves it; nothing is inlined, because
// the content security policy allows neither inline scripts nor data: fonts.
export default defineConfig({
  plugins: [svelte(), svelteTesting()],
  build: {
    outDir: "../src/convscope/server/static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    target: "es2022",
    modulePreload: { polyfill: false },
  },
  server: {
    proxy: { "/api": "http://127.0.0.1:8765" },
    // The glossary, and node_modules where that is a link.
    fs: { allow: [".", "../docs", realpathSync("node_modules")] },
  },
  test: { include: ["src/**/*.test.ts"], testTimeout: 20_000 },
});
