import { render, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import axe from "axe-core";
import { delay, http, HttpResponse } from "msw";
import type { ReactNode } from "react";
import { expect, vi } from "vitest";

import { createPaymentsService, StripeProvider, type StripeProviderProps } from "../src/index";
import { CONFIG, INVOICES, NONE, NOW } from "./fixtures";
import { server, STRIPE } from "./setup";

/** What was asked of the server. */
export interface Asked {
  method: string;
  path: string;
  key: string | null;
  body: unknown;
}

/** What is answered: a body, or a whole response. */
type Told = object;
type Answer = Told | ((asked: Asked) => Told | Promise<Told>);

/** An answer with a problem document. */
export function refuse(document: { status: number }, headers: Record<string, string> = {}) {
  return HttpResponse.json(document, {
    status: document.status,
    headers: { "Content-Type": "application/problem+json", ...headers },
  });
}

/** The server is out of reach. */
export const unreachable = () => HttpResponse.error();

/** An answer that does not come while the test looks. */
export const silence = async () => {
  await delay("infinite");
  return HttpResponse.error();
};

function tell(answer: Answer, asked: Asked): Told | Promise<Told> {
  return typeof answer === "function" ? (answer as (asked: Asked) => Told)(asked) : answer;
}

/** One answer after another; the last one from then on. */
export function inTurn(...answers: Answer[]): Answer {
  let turn = 0;
  return (asked: Asked) => {
    const answer = answers[Math.min(turn++, answers.length - 1)];
    return tell(answer ?? {}, asked);
  };
}

/** Has the wire answer, by method and path; returns the record of what was asked. */
export function wire(answers: Record<string, Answer> = {}): Asked[] {
  const asked: Asked[] = [];
  const all: Record<string, Answer> = {
    "GET /api/payments/config": CONFIG,
    "GET /api/payments/subscription": NONE,
    "GET /api/payments/invoices": INVOICES,
    ...answers,
  };
  server.use(
    ...Object.entries(all).map(([route, answer]) => {
      const [method = "", path = ""] = route.split(" ");
      const handle = http[method.toLowerCase() as "get"];
      const target = path.startsWith("/v1") ? STRIPE + path : location.origin + path;
      return handle(target, async ({ request }) => {
        const text = await request.clone().text();
        const type = request.headers.get("Content-Type") ?? "";
        const seen: Asked = {
          method,
          path: new URL(request.url).pathname + new URL(request.url).search,
          key: request.headers.get("Idempotency-Key"),
          body: type.includes("json") ? JSON.parse(text) : text,
        };
        asked.push(seen);
        const told = await tell(answer, seen);
        // An answer may be given more than once, a body only once.
        return told instanceof Response ? told.clone() : HttpResponse.json(told);
      });
    }),
  );
  return asked;
}

/** Renders parts of a page of ours. */
export function show(children: ReactNode, props: Partial<StripeProviderProps> = {}) {
  const navigate = vi.fn<(url: string) => void>();
  const onSessionExpired = vi.fn<() => void>();
  const user = userEvent.setup();
  const everything: Partial<StripeProviderProps> = {
    service: createPaymentsService({ pause: () => Promise.resolve() }),
    stripe: (key) => Promise.resolve(window.Stripe?.(key) ?? null),
    locale: "en-US",
    now: () => Date.parse(NOW),
    navigate,
    onSessionExpired,
    ...props,
  };
  const view = render(<StripeProvider {...everything}>{children}</StripeProvider>);
  /** The same page goes on with another user. */
  const showTo = (userId: string) =>
    view.rerender(
      <StripeProvider {...everything} userId={userId}>
        {children}
      </StripeProvider>,
    );
  return { ...view, user, navigate, onSessionExpired, showTo };
}

/** No violation that axe can see without layout; contrast is looked at in a real browser. */
export async function expectAccessible(): Promise<void> {
  const { violations } = await axe.run(document.body, {
    rules: { "color-contrast": { enabled: false }, region: { enabled: false } },
  });
  const lines = violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.html}`));
  expect(lines).toEqual([]);
}

export const button = (name: string | RegExp) => screen.findByRole("button", { name });
