import "@testing-library/jest-dom/vitest";

import { readFileSync } from "node:fs";
import { join } from "node:path";

import { cleanup } from "@testing-library/react";
import { setupServer } from "msw/node";
import { afterAll, afterEach, beforeAll, vi } from "vitest";

/** Everything on the wire: the payments API and Stripe's. */
export const server = setupServer();

export const STRIPE = "https://stripe.example";

/** Whether the browser prefers dark colours. */
export const preference = { dark: false };

beforeAll(() => {
  server.listen({ onUnhandledRequest: "error" });
  // jsdom has no layout, and so no media queries.
  vi.stubGlobal("matchMedia", (query: string) => ({
    matches: query.includes("dark") && preference.dark,
    addEventListener: () => undefined,
    removeEventListener: () => undefined,
  }));
  // The sandbox's stand-in for Stripe.js, as a page would load it.
  const script = join(import.meta.dirname, "../../sandbox/stripe/pages/stripe.js");
  const source = readFileSync(script, "utf8").replace("__API__", STRIPE);
  window.eval(source);
});

afterEach(() => {
  cleanup();
  server.resetHandlers();
  preference.dark = false;
});

afterAll(() => server.close());
