import { mkdirSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import { join } from "node:path";

import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import * as given from "../tests/fixtures";
import { violationsOf } from "./axe";
import { startBrowser } from "./browser";
import { refusal, servePage, silence, stage } from "./staged";

const SUBSCRIPTION = "GET /api/payments/subscription";
const INVOICES = "GET /api/payments/invoices";
const CHANGE = `/api/payments/subscriptions/${given.SUBSCRIPTION_ID}`;
const PREVIEW = `POST ${CHANGE}/preview`;
const AWAY = refusal(given.problem(503, "payment-provider-unavailable"));

interface State {
  answers: Parameters<typeof stage>[1];
  /** What leads there from the page as it opens. */
  play?: (page: Page) => Promise<void>;
  path?: string;
  /** What has to be seen before the picture is taken. */
  shows: string | RegExp;
}

const button = (page: Page, name: string | RegExp) => page.getByRole("button", { name }).click();

async function choosePlan(page: Page) {
  await button(page, "Choose a plan");
  await button(page, "Continue to payment");
}

async function reviewChange(page: Page) {
  await button(page, "Change plan");
  await page.getByRole("radio", { name: /Event Organizer/ }).check();
  await button(page, "Review change");
}

const shown = (subscription: object): State["answers"] => ({ [SUBSCRIPTION]: subscription });

const STATES: Record<string, State> = {
  "signed-out": { answers: { "GET /session": { user: null } }, shows: "Someone new" },
  loading: {
    answers: { [SUBSCRIPTION]: silence, [INVOICES]: silence },
    shows: "Sandbox",
  },
  "load-failed": {
    answers: {
      [SUBSCRIPTION]: refusal(
        given.problem(500, "internal-error", { traceId: "4bf92f3577b34da6" }),
      ),
      [INVOICES]: AWAY,
    },
    shows: /contact support/,
  },
  none: { answers: { [INVOICES]: given.NO_INVOICES }, shows: "You have no subscription yet" },
  trialing: { answers: shown(given.TRIALING), shows: "134 days left in your free trial" },
  active: { answers: shown(given.ACTIVE), shows: "Change plan" },
  ending: { answers: shown(given.ENDING), shows: "Resume subscription" },
  incomplete: { answers: shown(given.INCOMPLETE), shows: "Finish payment" },
  "past-due": { answers: shown(given.PAST_DUE), shows: "Your last payment failed" },
  unpaid: { answers: shown(given.without("unpaid")), shows: "A payment is still open" },
  paused: { answers: shown(given.without("paused")), shows: "Your subscription is paused" },
  ended: { answers: shown(given.ENDED), shows: "Your subscription has ended" },
  "unknown-status": { answers: shown(given.without("on_hold")), shows: "State: on hold" },
  offline: {
    answers: shown(given.ACTIVE),
    play: async (page) => {
      await page.getByText("Change plan").waitFor();
      await page.context().setOffline(true);
    },
    shows: "You’re offline",
  },
  plans: {
    answers: {},
    play: (page) => button(page, "Choose a plan"),
    shows: "Billing period",
  },
  "plans-yearly": {
    answers: {},
    play: async (page) => {
      await button(page, "Choose a plan");
      await page.getByRole("radio", { name: /Yearly/ }).check();
    },
    shows: "You save $20 a year.",
  },
  "plans-current": {
    answers: shown(given.ACTIVE),
    play: (page) => button(page, "Change plan"),
    shows: "This is the plan you have",
  },
  payment: { answers: {}, play: choosePlan, shows: "Card number" },
  "payment-no-trial": {
    answers: shown({ ...given.NONE, trialAvailable: false }),
    play: choosePlan,
    shows: /Pay \$10\.00/,
  },
  "payment-incomplete": {
    answers: {},
    play: async (page) => {
      await choosePlan(page);
      await page.getByLabel("Card number").fill("4242");
      await button(page, "Start free trial");
    },
    shows: "Please check your card details",
  },
  "payment-declined": {
    answers: {
      "POST /api/payments/subscriptions": {
        subscriptionId: given.SUBSCRIPTION_ID,
        status: "incomplete",
        clientSecret: "seti_1_secret_2",
        intentType: "setup",
      },
      "POST /v1/payment_methods": { id: "pm_1" },
      "POST /v1/setup_intents/seti_1/confirm": {
        error: {
          type: "card_error",
          code: "card_declined",
          decline_code: "insufficient_funds",
          message: "Your card has insufficient funds.",
          payment_method: { card: { brand: "visa", last4: "9995" } },
        },
      },
    },
    play: async (page) => {
      await choosePlan(page);
      await page.getByLabel("Card number").fill("4000000000009995");
      await page.getByLabel("Expiration date").fill("1234");
      await page.getByLabel("Security code").fill("123");
      await button(page, "Start free trial");
    },
    shows: "Your Visa card ending in 9995 was declined",
  },
  "stripe-blocked": {
    answers: { "GET /v3/": (route) => route.abort() },
    play: choosePlan,
    shows: "The payment form could not be loaded",
  },
  preview: {
    answers: { ...shown(given.ACTIVE), [PREVIEW]: given.PREVIEW },
    play: reviewChange,
    shows: "Due today",
  },
  "preview-loading": {
    answers: { ...shown(given.ACTIVE), [PREVIEW]: silence },
    play: reviewChange,
    shows: "Review your change",
  },
  "preview-failed": {
    answers: { ...shown(given.ACTIVE), [PREVIEW]: refusal(given.problem(409, "change-pending")) },
    play: reviewChange,
    shows: "An earlier change",
  },
  "change-declined": {
    answers: {
      ...shown(given.ACTIVE),
      [PREVIEW]: given.PREVIEW,
      [`PATCH ${CHANGE}`]: refusal(
        given.problem(402, "card-declined", { declineCode: "insufficient_funds" }),
      ),
    },
    play: async (page) => {
      await reviewChange(page);
      await button(page, /^Pay/);
    },
    shows: "Your card was declined",
  },
  settling: {
    answers: {
      ...shown(given.ACTIVE),
      [PREVIEW]: given.PREVIEW,
      [`PATCH ${CHANGE}`]: given.CHANGED,
    },
    play: async (page) => {
      await reviewChange(page);
      await button(page, /^Pay/);
    },
    shows: "Confirming…",
  },
  changed: {
    answers: { [PREVIEW]: given.PREVIEW, [`PATCH ${CHANGE}`]: given.CHANGED },
    play: async (page) => {
      await page.route("**/api/payments/subscription", (route) =>
        route.fulfill({ json: given.ACTIVE }),
      );
      await page.reload();
      await reviewChange(page);
      await page.route("**/api/payments/subscription", (route) =>
        route.fulfill({ json: given.ORGANIZER }),
      );
      await button(page, /^Pay/);
    },
    shows: "You’re on Event Organizer now. Thank you!",
  },
  cancel: {
    answers: shown(given.ACTIVE),
    play: (page) => button(page, "Cancel subscription"),
    shows: "You keep full access until",
  },
  "cancel-failed": {
    answers: {
      ...shown(given.ACTIVE),
      [`DELETE ${CHANGE}`]: refusal(given.problem(500, "internal-error")),
    },
    play: async (page) => {
      await button(page, "Cancel subscription");
      await page
        .getByRole("alertdialog")
        .getByRole("button", { name: "Cancel subscription" })
        .click();
    },
    shows: "Something went wrong",
  },
  "return-confirming": {
    path: "/?session_id=cs_test_1",
    answers: { "POST /api/payments/checkout-sessions/cs_test_1/sync": silence },
    shows: "Confirming your purchase…",
  },
  "return-confirmed": {
    path: "/?session_id=cs_test_1",
    answers: {
      ...shown(given.TRIALING),
      "POST /api/payments/checkout-sessions/cs_test_1/sync": {
        status: "complete",
        settled: true,
        subscription: given.TRIALING,
      },
    },
    shows: "Thank you! Your purchase is confirmed.",
  },
};

const WIDTHS = { 320: 640, 768: 1024, 1280: 900 };
const SCHEMES = ["light", "dark"] as const;
const PICTURES = join(import.meta.dirname, "../screenshots");
// `npm run screenshots` takes pictures, too.
const picturing = process.env.PICTURES !== undefined;
// For a look at a few states only: STATES=plans,payment.
const wanted = process.env.STATES?.split(",") ?? Object.keys(STATES);

let browser: Browser;
let address: string;
let server: Server;

beforeAll(async () => {
  if (picturing && process.env.STATES === undefined) {
    rmSync(PICTURES, { recursive: true, force: true });
  }
  mkdirSync(PICTURES, { recursive: true });
  browser = await startBrowser();
  ({ address, server } = await servePage());
});

afterAll(async () => {
  await browser.close();
  server.close();
});

describe.each(wanted)("%s", (name) => {
  const state = STATES[name];
  test.each(SCHEMES)("looks right and is accessible, %s", async (colorScheme) => {
    if (state === undefined) {
      throw new Error(`There is no state ${name}: take one of ${Object.keys(STATES).join(", ")}`);
    }
    const context = await browser.newContext({
      colorScheme,
      locale: "en-US",
      timezoneId: "UTC",
      reducedMotion: "reduce",
    });
    try {
      const page = await context.newPage();
      const refused: string[] = [];
      page.on("console", (message) => {
        if (message.text().includes("Content Security Policy")) {
          refused.push(message.text());
        }
      });
      await page.setViewportSize({ width: 1280, height: 900 });
      await stage(page, state.answers);
      await page.goto(`${address}${state.path ?? "/"}`);
      await state.play?.(page);
      await page.getByText(state.shows).first().waitFor();
      expect(await violationsOf(page)).toEqual([]);
      for (const [width, height] of Object.entries(WIDTHS)) {
        await page.setViewportSize({ width: Number(width), height });
        const overflow = await page.evaluate(
          () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
        );
        expect(overflow, `what sticks out sideways at ${width} px`).toBe(0);
        if (picturing) {
          // A dialog covers what can be seen, not what could be scrolled to.
          const dialogs = page.getByRole("dialog").or(page.getByRole("alertdialog"));
          await page.screenshot({
            path: join(PICTURES, `${name}-${width}-${colorScheme}.png`),
            fullPage: (await dialogs.count()) === 0,
          });
        }
      }
      expect(refused).toEqual([]);
    } finally {
      await context.close();
    }
  });
});
