import { mkdirSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import { extname, join } from "node:path";

import type { Browser, Page, Route } from "playwright-core";
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

/** The page looks again when it comes online, unless it has just looked: until it shows this. */
const comeOnline = (page: Page, text: string) =>
  expect
    .poll(
      async () => {
        await page.evaluate(() => window.dispatchEvent(new Event("online")));
        return page.getByText(text).count();
      },
      { timeout: 20_000, interval: 500 },
    )
    .toBeGreaterThan(0);

/** Has another answer from now on. */
const answers = (page: Page, path: string, body: object) =>
  page.route(`**/api/payments/${path}`, (route) => route.fulfill({ json: body }));

async function pay(
  page: Page,
  card = "4242424242424242",
  label: string | RegExp = "Start free trial",
) {
  await page.getByLabel("Card number").fill(card);
  await page.getByLabel("Expiration date").fill("1234");
  await page.getByLabel("Security code").fill("123");
  await button(page, label);
}

const confirmChange = async (page: Page) => {
  await reviewChange(page);
  await button(page, /^Pay/);
};

/** As if half a minute and more had passed. */
async function hurry(page: Page) {
  await page.clock.install();
  await page.reload();
}

const SUBSCRIBE = "POST /api/payments/subscriptions";
const CONFIRM = "POST /v1/setup_intents/seti_1/confirm";
const SETUP = "GET /v1/setup_intents/seti_1";
const SYNC = "POST /api/payments/checkout-sessions/cs_test_1/sync";
const BEGUN = {
  subscriptionId: given.SUBSCRIPTION_ID,
  status: "incomplete",
  clientSecret: "seti_1_secret_2",
  intentType: "setup",
};
const BUYING: State["answers"] = {
  [SUBSCRIBE]: BEGUN,
  "POST /v1/payment_methods": { id: "pm_1" },
  [CONFIRM]: { id: "seti_1", status: "succeeded" },
  [SETUP]: { id: "seti_1", status: "succeeded" },
};
const CHANGING: State["answers"] = {
  ...shown(given.ACTIVE),
  [PREVIEW]: given.PREVIEW,
  [`PATCH ${CHANGE}`]: given.CHANGED,
};
const BANK = `<!doctype html><title>Bank</title><body style="font:16px system-ui;padding:2rem">
  <h1>Your bank</h1><p>Is it you who pays?</p><button>Complete</button>`;
const NOTHING_FOR_SALE = {
  ...given.CONFIG,
  plans: given.CONFIG.plans.map((plan) => ({
    ...plan,
    prices: plan.prices.map((price) => ({ ...price, priceId: null })),
  })),
};

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
  expired: { answers: shown(given.without("expired")), shows: "not completed in time" },
  "past-due-ending": {
    answers: shown({ ...given.PAST_DUE, cancelAt: "2026-08-05T12:00:00Z" }),
    shows: "Subscription ends",
  },
  "session-expired": {
    answers: { [SUBSCRIPTION]: refusal(given.problem(401, "unauthenticated")) },
    shows: "Your session has ended",
  },
  "out-of-date": {
    answers: shown(given.ACTIVE),
    play: async (page) => {
      await button(page, "Change plan");
      await page.route("**/api/payments/subscription", (route) => AWAY(route));
      await button(page, "Close");
    },
    shows: "What you see may be out of date",
  },
  "invoices-older-failed": {
    answers: shown(given.ACTIVE),
    play: async (page) => {
      await page.getByText("Show older invoices").waitFor();
      await page.route("**/api/payments/invoices*", (route) => AWAY(route));
      await button(page, "Show older invoices");
    },
    shows: "The payment provider can’t be reached",
  },
  canceled: {
    answers: { ...shown(given.ACTIVE), [`DELETE ${CHANGE}`]: given.ENDING },
    play: async (page) => {
      await button(page, "Cancel subscription");
      const dialog = page.getByRole("alertdialog");
      await dialog.getByRole("button", { name: "Cancel subscription" }).click();
    },
    shows: "Your subscription ends on August 5, 2026.",
  },
  resumed: {
    answers: { ...shown(given.ENDING), [`POST ${CHANGE}/resume`]: given.ACTIVE },
    play: (page) => button(page, "Resume subscription"),
    shows: "Your subscription goes on.",
  },
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
  "plans-ending": {
    // Whoever looks at the plans in two windows finds this in the second one.
    answers: shown(given.ACTIVE),
    play: async (page) => {
      await page.getByText("Change plan").waitFor();
      await answers(page, "subscription", given.ENDING);
      await button(page, "Change plan");
      await comeOnline(page, "Your subscription is set to end");
    },
    shows: "Your subscription is set to end",
  },
  "plans-owed": {
    answers: shown(given.ACTIVE),
    play: async (page) => {
      await page.getByText("Change plan").waitFor();
      await answers(page, "subscription", given.PAST_DUE);
      await button(page, "Change plan");
      await comeOnline(page, "Settle it now");
    },
    shows: "Settle it now",
  },
  "plans-none-for-sale": {
    answers: { "GET /api/payments/config": NOTHING_FOR_SALE },
    play: (page) => button(page, "Choose a plan"),
    shows: "There is nothing to choose from yet",
  },
  "plans-offline": {
    answers: {},
    play: async (page) => {
      await button(page, "Choose a plan");
      await page.context().setOffline(true);
    },
    shows: "You’re offline",
  },
  payment: { answers: {}, play: choosePlan, shows: "Card number" },
  "payment-loading": {
    answers: { "GET /v3/": silence },
    play: choosePlan,
    shows: "Loading the payment form",
  },
  "payment-offline": {
    answers: {},
    play: async (page) => {
      await choosePlan(page);
      await page.getByLabel("Card number").waitFor();
      await page.context().setOffline(true);
    },
    shows: "Reconnect to the internet to go on",
  },
  "payment-terms-changed": {
    answers: { ...BUYING, [SUBSCRIBE]: { ...BEGUN, intentType: "payment" } },
    play: async (page) => {
      await choosePlan(page);
      await answers(page, "subscription", { ...given.NONE, trialAvailable: false });
      await pay(page);
    },
    shows: "The terms have changed",
  },
  "payment-3ds": {
    answers: {
      ...BUYING,
      [SETUP]: {
        id: "seti_1",
        status: "requires_action",
        next_action: {
          type: "use_stripe_sdk",
          use_stripe_sdk: { stripe_js: "http://stripe.localhost:1/bank" },
        },
      },
      "GET /bank": (route) => route.fulfill({ contentType: "text/html", body: BANK }),
    },
    play: async (page) => {
      await choosePlan(page);
      await pay(page);
      await page.locator('iframe[title="3-D Secure"]').waitFor();
    },
    shows: "One moment…",
  },
  "trial-started": {
    answers: BUYING,
    play: async (page) => {
      await choosePlan(page);
      await page.getByLabel("Card number").waitFor();
      await answers(page, "subscription", given.TRIALING);
      await pay(page);
    },
    shows: "Your free trial of General runs until",
  },
  late: {
    answers: BUYING,
    play: async (page) => {
      await hurry(page);
      await choosePlan(page);
      await pay(page);
      await page.getByText("Confirming…").waitFor();
      await page.clock.fastForward(31_000);
    },
    shows: "This is taking longer than usual",
  },
  unknown: {
    answers: { ...BUYING, [CONFIRM]: (route) => route.abort() },
    play: async (page) => {
      await hurry(page);
      await choosePlan(page);
      await pay(page);
      await page.getByText("finding out whether it worked").waitFor();
      await page.clock.fastForward(31_000);
    },
    shows: "We don’t know whether that worked",
  },
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
    answers: { ...shown(given.ACTIVE), [PREVIEW]: AWAY },
    play: reviewChange,
    shows: "The payment provider can’t be reached",
  },
  "preview-outdated": {
    answers: { ...CHANGING, [`PATCH ${CHANGE}`]: refusal(given.problem(409, "preview-outdated")) },
    play: confirmChange,
    shows: "The amount has to be worked out again",
  },
  "preview-offline": {
    answers: CHANGING,
    play: async (page) => {
      await reviewChange(page);
      await page.getByText("Due today").waitFor();
      await page.context().setOffline(true);
    },
    shows: "Reconnect to the internet to change your plan",
  },
  "change-unpaid": {
    answers: { ...CHANGING, [`PATCH ${CHANGE}`]: { ...given.PENDING, clientSecret: null } },
    play: confirmChange,
    shows: "Pay the open invoice",
  },
  "change-without-card": {
    answers: { ...CHANGING, [`PATCH ${CHANGE}`]: refusal(given.problem(409, "card-needed")) },
    play: confirmChange,
    shows: "There is no card to pay with",
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
  "cancel-past-due": {
    answers: shown(given.PAST_DUE),
    play: (page) => button(page, "Cancel subscription"),
    shows: "Your last payment failed: you keep access until",
  },
  "cancel-unpaid": {
    answers: shown(given.without("unpaid")),
    play: (page) => button(page, "Cancel subscription"),
    shows: "Your subscription ends at once",
  },
  "cancel-offline": {
    answers: shown(given.ACTIVE),
    play: async (page) => {
      await button(page, "Cancel subscription");
      await page.context().setOffline(true);
    },
    shows: "Reconnect to the internet to cancel",
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
  "return-late": {
    path: "/?session_id=cs_test_1",
    answers: { [SYNC]: { status: "complete", settled: false, subscription: given.NONE } },
    play: async (page) => {
      await page.clock.install();
      await page.goto(`${new URL(page.url()).origin}/?session_id=cs_test_1`);
      await page.getByText("Confirming your purchase…").waitFor();
      await page.clock.fastForward(31_000);
    },
    shows: "Your purchase is not confirmed yet",
  },
  "return-unfinished": {
    path: "/?setup_intent=seti_1&redirect_status=failed",
    answers: {},
    shows: "Your purchase was not finished",
  },
  "return-failed": {
    path: "/?session_id=cs_test_1",
    answers: { [SYNC]: refusal(given.problem(500, "internal-error")) },
    shows: "We could not confirm your purchase yet",
  },
};

const WIDTHS = { 320: 640, 768: 1024, 1280: 900 };
const SCHEMES = ["light", "dark"] as const;
const PICTURES = join(import.meta.dirname, "../screenshots");
// `npm run screenshots` takes pictures, too.
const picturing = process.env.PICTURES !== undefined;
// For a look at a few states only: STATES=plans,payment.
const wanted = process.env.STATES?.split(",") ?? Object.keys(STATES);

/** Everything that scrolls sideways, the page and what scrolls by itself in it, such as dialogs. */
function stickingOut(page: Page): Promise<string[]> {
  return page.evaluate(() =>
    [...document.querySelectorAll<HTMLElement>("*")]
      .filter(
        (element) =>
          element.scrollWidth > element.clientWidth &&
          (element === document.documentElement ||
            ["auto", "scroll"].includes(getComputedStyle(element).overflowX)),
      )
      .map((element) => `${element.tagName} ${element.className}`),
  );
}

/** What is in motion, or would be for longer than an eye can see. */
function moving(page: Page): Promise<string[]> {
  return page.evaluate(() =>
    document
      .getAnimations()
      .filter((animation) => Number(animation.effect?.getComputedTiming().endTime ?? 0) > 1)
      .map((animation) => (animation as CSSAnimation).animationName),
  );
}

/** The whole page; of a dialog what can be seen, then what it can be scrolled to. */
async function picture(page: Page, name: string) {
  const dialog = page.getByRole("dialog").or(page.getByRole("alertdialog"));
  const open = (await dialog.count()) > 0;
  await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: !open });
  const scrolled =
    open &&
    (await dialog.evaluate((box) => {
      const body = [...box.children].find((part) => part.scrollHeight > part.clientHeight + 1);
      body?.scrollTo(0, body.scrollHeight);
      return body !== undefined;
    }));
  if (scrolled) {
    await page.screenshot({ path: join(PICTURES, `${name}-scrolled.png`) });
    await dialog.evaluate((box) => {
      for (const part of box.children) {
        part.scrollTo(0, 0);
      }
    });
  }
}

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
      for (const [width, height] of Object.entries(WIDTHS)) {
        // Dark differs in its colours alone, which are those of every width.
        if (colorScheme === "dark" && width !== "320" && !picturing) {
          continue;
        }
        await page.setViewportSize({ width: Number(width), height });
        expect(await violationsOf(page), `what is not accessible at ${width} px`).toEqual([]);
        expect(await stickingOut(page), `what sticks out sideways at ${width} px`).toEqual([]);
        expect(await moving(page), "what moves though less motion is preferred").toEqual([]);
        if (picturing) {
          await picture(page, `${name}-${width}-${colorScheme}`);
        }
      }
      expect(refused).toEqual([]);
    } finally {
      await context.close();
    }
  });
});

describe("the budgets", () => {
  test.each([1280])("hold while the page loads, at %i px", async (width) => {
    const context = await browser.newContext({ viewport: { width, height: 800 } });
    try {
      const page = await context.newPage();
      const slowly = (body: object) => async (route: Route) => {
        await new Promise((resolve) => setTimeout(resolve, 300));
        await route.fulfill({ json: body });
      };
      await page.addInitScript(() => {
        const moved = window as Window & { moved?: number };
        moved.moved = 0;
        new PerformanceObserver((list) => {
          for (const entry of list.getEntries() as (PerformanceEntry & { value: number })[]) {
            moved.moved = (moved.moved ?? 0) + entry.value;
          }
        }).observe({ type: "layout-shift", buffered: true });
      });
      await stage(page, {
        [SUBSCRIPTION]: slowly(given.ACTIVE),
        [INVOICES]: slowly(given.INVOICES),
      });
      await page.goto(address);
      await page.getByText("Change plan").waitFor();
      await page.getByText("Show older invoices").waitFor();
      const { assets, moved } = await page.evaluate(() => ({
        assets: performance
          .getEntriesByType("resource")
          .map(({ name }) => new URL(name).pathname)
          .filter((path) => path.startsWith("/assets/")),
        moved: (window as Window & { moved?: number }).moved,
      }));
      expect(assets.map((path) => extname(path)).sort()).toEqual([".css", ".js"]);
      expect(moved).toBeLessThan(0.1);
    } finally {
      await context.close();
    }
  });
});
