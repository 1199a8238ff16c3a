import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join } from "node:path";

import type { Page, Route } from "playwright-core";

import { CONFIG, INVOICES, NONE, NOW } from "../tests/fixtures";

const STRIPE = "http://stripe.localhost:1";

/** The policy that the README gives, with the stand-in's origin in the place of Stripe's. */
async function policy(): Promise<string> {
  const readme = await readFile(join(import.meta.dirname, "../README.md"), "utf8");
  const [directives] = /(?<=^```text\n)default-src.*?(?=^```)/ms.exec(readme) ?? [];
  if (directives === undefined) {
    throw new Error("README.md has no Content-Security-Policy: `make docs` writes it");
  }
  return directives
    .replaceAll("\n", " ")
    .replaceAll(/https:\S*stripe\.com/g, STRIPE)
    .trim();
}

const TYPES: Record<string, string> = {
  ".css": "text/css",
  ".html": "text/html",
  ".js": "text/javascript",
  ".svg": "image/svg+xml",
};

/** Serves the built page as the gateway does, without anything behind it. */
export async function servePage(): Promise<{ address: string; server: Server }> {
  const security = await policy();
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? "/", "http://page").pathname;
    const file = extname(path) === "" ? "/index.html" : path;
    readFile(join(import.meta.dirname, "../dist", file)).then(
      (body) => {
        response.writeHead(200, {
          "Content-Security-Policy": security,
          "Content-Type": TYPES[extname(file)] ?? "application/octet-stream",
        });
        response.end(body);
      },
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, server };
}

type Answer = object | ((route: Route) => Promise<void>);

const json = (body: object, status = 200) => ({
  status,
  contentType: status < 400 ? "application/json" : "application/problem+json",
  body: JSON.stringify(body),
});

/** An answer that never comes. */
export const silence = () => new Promise<void>(() => undefined);

/** A refusal: a problem document. */
export const refusal =
  (document: { status: number }) =>
  (route: Route): Promise<void> =>
    route.fulfill(json(document, document.status));

/** Plays the gateway, the API and Stripe to a page; `answers` are by method and path. */
export async function stage(page: Page, answers: Record<string, Answer>): Promise<void> {
  const script = await readFile(
    join(import.meta.dirname, "../../sandbox/stripe/pages/stripe.js"),
    "utf8",
  );
  const user = { id: "demo-1", email: "demo-user-1@example.org", name: "Demo user 1" };
  const all: Record<string, Answer> = {
    "GET /session": { user },
    "GET /session/users": [user, { ...user, id: "demo-2", name: "Demo user 2" }],
    "GET /sandbox/status": {
      stripe: { now: NOW, url: STRIPE, controlPanel: `${STRIPE}/sandbox` },
      usersView: { hasAccess: false, subscriptions: [] },
    },
    "GET /api/payments/config": CONFIG,
    "GET /api/payments/subscription": NONE,
    "GET /api/payments/invoices": INVOICES,
    "GET /v3/": (route) =>
      route.fulfill({
        contentType: "text/javascript",
        body: script.replace("__API__", STRIPE),
      }),
    ...answers,
  };
  await page.route(
    (url) => url.origin === STRIPE || /^\/(api|session|sandbox)(\/|$)/.test(url.pathname),
    async (route) => {
      const request = route.request();
      const answer = all[`${request.method()} ${new URL(request.url()).pathname}`];
      if (typeof answer === "function") {
        await answer(route);
      } else if (answer === undefined) {
        await route.fulfill(json({ missing: request.url() }, 404));
      } else {
        await route.fulfill(json(answer));
      }
    },
  );
}
