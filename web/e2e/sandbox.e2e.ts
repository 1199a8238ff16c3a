import { appendFileSync } from "node:fs";

import type { Browser, BrowserContext, Locator, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import type { SandboxStatus, User } from "../src/app/session";
import type { Subscription } from "../src/index";
import { startBrowser } from "./browser";

/**
 * What people do on the page, in a real browser against the whole platform: SANDBOX is the
 * address of a running one. Each person who has bought something, and what they then should have,
 * is written as a line of JSON to the file OUTCOMES, to be compared with the tables.
 */
const SANDBOX = process.env.SANDBOX ?? "http://127.0.0.1:8000";

const GOOD = "4242424242424242";
const DECLINED = "4000000000009995";
const CHALLENGED = "4000000000003220";
/** Milliseconds for what goes through Stripe, the database and the broker. */
const PATIENCE = 20_000;

/** The present subscription. */
const MINE = "/api/payments/subscription";

let browser: Browser;
let context: BrowserContext;
let page: Page;
let user: User;
let sent: { url: string; body: string }[];
let refused: string[];

beforeAll(async () => {
  browser = await startBrowser();
});

afterAll(() => browser.close());

beforeEach(async () => {
  context = await browser.newContext({ locale: "en-US", reducedMotion: "reduce" });
  context.setDefaultTimeout(PATIENCE);
  page = await context.newPage();
  sent = [];
  refused = [];
  page.on("request", (request) =>
    sent.push({ url: request.url(), body: request.postData() ?? "" }),
  );
  page.on("console", (message) => {
    if (message.text().includes("Content Security Policy")) {
      refused.push(message.text());
    }
  });
  await page.goto(SANDBOX);
  await page.getByRole("button", { name: /Someone new/ }).click();
  await page.getByText("You have no subscription yet").waitFor();
  ({ user } = await told<{ user: User }>("/session"));
});

afterEach(async () => {
  await context.close();
  expect(refused, "what the Content-Security-Policy has refused").toEqual([]);
  const digits = (text: string) => decodeURIComponent(text).replaceAll(/\D/g, "");
  const ours = sent.filter(({ url }) => new URL(url).origin === new URL(SANDBOX).origin);
  expect(ours.length).toBeGreaterThan(0);
  for (const card of [GOOD, DECLINED, CHALLENGED]) {
    const told = ours.filter(({ url, body }) => digits(url + " " + body).includes(card));
    expect(told, "what has told our server a card").toEqual([]);
  }
});

async function told<T>(path: string): Promise<T> {
  return (await (await context.request.get(SANDBOX + path)).json()) as T;
}

const click = (name: string | RegExp) => page.getByRole("button", { name, exact: true }).click();
const see = (text: string | RegExp) => page.getByText(text).first().waitFor();

async function enter(card: string) {
  await page.getByLabel("Card number").fill(card);
  await page.getByLabel("Expiration date").fill("1234");
  await page.getByLabel("Security code").fill("123");
}

async function buy(card: string) {
  await click("Choose a plan");
  await click("Continue to payment");
  await enter(card);
  await click("Start free trial");
}

/** Waits for the bank's question, and answers it. */
async function answerBank(answer: "Complete authentication" | "Fail authentication") {
  const bank = page.frameLocator('iframe[title="3-D Secure"]');
  await bank.getByRole("button", { name: answer }).click();
}

async function startTrial() {
  await buy(GOOD);
  await see("You’re all set");
  await click("Done");
  await see(/days left in your free trial/);
}

/** Waits until database and users service agree on what this user has; hands it on as due. */
async function arrives(status: string, plan: string | null = "general") {
  await expect
    .poll(
      async () => {
        const [known, { usersView }] = await Promise.all([
          told<Subscription>("/api/payments/subscription"),
          told<SandboxStatus>("/sandbox/status"),
        ]);
        return [known.status, known.plan, usersView?.subscriptions.map((one) => one.status)];
      },
      { timeout: PATIENCE },
    )
    .toEqual([status, plan, [status]]);
  if (process.env.OUTCOMES !== undefined) {
    appendFileSync(process.env.OUTCOMES, JSON.stringify({ user: user.id, status, plan }) + "\n");
  }
}

// The first of all, since time that passes here passes for everybody.
test("an upgrade costs what was shown, and the invoice says so", async () => {
  await startTrial();
  await click("+180 days");
  await arrives("active");
  await page.reload();
  await see("Next charge");
  await click("Change plan");
  await page.getByRole("radio", { name: /Event Organizer/ }).check({ force: true });
  await click("Review change");
  const pay = page.getByRole("button", { name: /^Pay \$/ });
  const shown = /\$[\d.]+/.exec((await pay.textContent()) ?? "")?.[0] ?? "";
  expect(shown).toMatch(/^\$\d+\.\d\d$/);
  await pay.click();
  await see("You’re on Event Organizer now. Thank you!");
  await click("Done");
  await arrives("active", "event_organizer");
  await page
    .getByRole("row", { name: new RegExp(`${shown.replaceAll(/[$.]/g, "\\$&")}.*Paid`) })
    .waitFor();
});

describe("the three test cards", () => {
  test("one that is good starts the trial, down to the users service", async () => {
    await startTrial();
    await arrives("trialing");
    await click("Look again");
    await see("You have access (trialing, message");
    const toStripe = sent.filter(({ body }) => body.includes(GOOD)).map(({ url }) => url);
    expect(toStripe.length, "the card has gone to Stripe").toBeGreaterThan(0);
  });

  test("one that is declined says so, grants nothing, and gives way to another", async () => {
    await buy(DECLINED);
    await see("Your Visa card ending in 9995 was declined");
    const { hasAccess } = await told<Subscription>("/api/payments/subscription");
    expect(hasAccess).toBe(false);
    expect((await told<SandboxStatus>("/sandbox/status")).usersView?.hasAccess).toBe(false);
    await enter(GOOD);
    await click("Start free trial");
    await see("You’re all set");
    await arrives("trialing");
  });

  test("one that wants its holder asks the bank's question", async () => {
    await buy(CHALLENGED);
    await answerBank("Complete authentication");
    await see("You’re all set");
    await arrives("trialing");
  });

  test("one whose holder does not answer is not taken", async () => {
    await buy(CHALLENGED);
    await answerBank("Fail authentication");
    await see(/Your bank could not confirm that it is you/);
    expect((await told<Subscription>("/api/payments/subscription")).hasAccess).toBe(false);
  });
});

test("canceling says when access ends, and can be taken back", async () => {
  await startTrial();
  await click("Cancel subscription");
  const dialog = page.getByRole("alertdialog", { name: "Cancel General?" });
  await expect
    .poll(() => dialog.textContent())
    .toMatch(/You keep full access until \w+ \d+, \d{4}/);
  await dialog.getByRole("button", { name: "Cancel subscription" }).click();
  await see(/Your subscription ends on/);
  await expect
    .poll(async () => (await told<Subscription>("/api/payments/subscription")).cancelAt, {
      timeout: PATIENCE,
    })
    .not.toBeNull();
  await page.reload();
  await click("Resume subscription");
  await see("Your subscription goes on.");
  await expect
    .poll(async () => (await told<Subscription>("/api/payments/subscription")).cancelAt, {
      timeout: PATIENCE,
    })
    .toBeNull();
  await arrives("trialing");
});

test("who has had the trial pays at once, and is on the plan when the server says so", async () => {
  await startTrial();
  await click("Cancel subscription");
  await page.getByRole("alertdialog").getByRole("button", { name: "Cancel subscription" }).click();
  await see(/Your subscription ends on/);
  await context.request.delete(
    `${SANDBOX}/api/payments/subscriptions/${(await told<Subscription>(MINE)).id}?immediately=true`,
    { headers: { "Idempotency-Key": crypto.randomUUID(), Origin: new URL(SANDBOX).origin } },
  );
  await expect
    .poll(async () => (await told<Subscription>(MINE)).status, { timeout: PATIENCE })
    .toBe("canceled");
  await page.reload();
  await click("Choose a plan");
  await see(/You pay \$10 a month, starting today/);
  await click("Continue to payment");
  await enter(CHALLENGED);
  await click("Pay $10.00 and subscribe");
  await answerBank("Complete authentication");
  await see("You’re on General now. Thank you!");
  await click("Done");
  await see("Next charge");
  await page.getByRole("row", { name: /\$10\.00.*Paid/ }).waitFor();
  await expect
    .poll(async () => (await told<SandboxStatus>("/sandbox/status")).usersView?.hasAccess, {
      timeout: PATIENCE,
    })
    .toBe(true);
});

test("a bank that has said no on a page of its own is told, and gives way to another card", async () => {
  await buy(CHALLENGED);
  await page.locator('iframe[title="3-D Secure"]').waitFor();
  await page.goto(`${SANDBOX}/?setup_intent=seti_1&redirect_status=failed`);
  await see("Your payment was not finished");
  expect(await page.getByText("There is nothing you need to do again").count()).toBe(0);
  expect(page.url()).not.toContain("redirect_status");
  await click("Finish payment");
  await click("Continue to payment");
  await enter(GOOD);
  await click("Start free trial");
  await see("You’re all set");
  await arrives("trialing");
});

test("a session that has ended leads to the sign-in, and the same user back to it all", async () => {
  // Nobody new can sign in a second time, so this is somebody of the list.
  await click("Sign out");
  await page.getByRole("button", { name: /Demo user 1/ }).click();
  await see("You have no subscription yet");
  ({ user } = await told<{ user: User }>("/session"));
  await startTrial();
  await context.clearCookies();
  await click("Cancel subscription");
  await page.getByRole("alertdialog").getByRole("button", { name: "Cancel subscription" }).click();
  await see("Your session has ended. Sign in again");
  await page.getByRole("button", { name: /Demo user 1/ }).click();
  await see(/days left in your free trial/);
  expect((await told<Subscription>(MINE)).cancelAt).toBeNull();
  await arrives("trialing");
});

test("a network that is lost while Stripe is asked is made out by the server", async () => {
  let lost = 0;
  await page.route("**/v1/setup_intents/*/confirm", async (route) => {
    lost += 1;
    await route.fetch();
    await route.abort("connectionreset");
  });
  await buy(GOOD);
  await see("You’re all set");
  expect(lost).toBe(1);
  await click("Done");
  await arrives("trialing");
});

test("a network that is lost is told, and nothing is lost with it", async () => {
  await click("Choose a plan");
  await click("Continue to payment");
  await enter(GOOD);
  await context.setOffline(true);
  await see("You’re offline");
  const start = page.getByRole("button", { name: "Start free trial" });
  expect(await start.getAttribute("aria-disabled")).toBe("true");
  await context.setOffline(false);
  await expect.poll(() => start.getAttribute("aria-disabled")).toBeNull();
  await start.click();
  await see("You’re all set");
  await arrives("trialing");
});

test("an answer that is lost is asked for again, and buys once", async () => {
  let lost = 0;
  await page.route("**/api/payments/subscriptions", async (route) => {
    if (lost++ === 0) {
      await route.fetch();
      await route.abort("connectionreset");
    } else {
      await route.continue();
    }
  });
  await startTrial();
  expect(lost).toBe(2);
  await arrives("trialing");
});

test("a return that beats its webhook is confirmed by the server all the same", async () => {
  const { stripe } = await told<SandboxStatus>("/sandbox/status");
  const steer = (what: string) =>
    context.request.post(`${stripe.url}/sandbox/webhooks/${what}`, { data: {} });
  await click("Choose a plan");
  await click("Continue to payment");
  await steer("hold");
  try {
    await click("Pay on Stripe’s page instead");
    await page.waitForURL(`${stripe.url}/**`);
    await page.getByLabel("Card number").fill(GOOD);
    await page.locator("button[type=submit], form button").first().click();
    await page.waitForURL(`${SANDBOX}/**`);
    await see("Thank you! Your purchase is confirmed.");
    await see(/days left in your free trial/);
    expect(page.url()).not.toContain("session_id");
  } finally {
    await steer("release");
  }
  await arrives("trialing");
});

/** Goes on with the Tab key alone until it is there. */
async function tabTo(there: Locator) {
  for (let step = 0; step < 60; step += 1) {
    if (await there.evaluate((element) => element === document.activeElement)) {
      return;
    }
    await page.keyboard.press("Tab");
  }
  throw new Error(`The Tab key does not lead to ${there.toString()}.`);
}

test("the keyboard alone is enough to buy", async () => {
  const by = (name: string) => page.getByRole("button", { name, exact: true });
  await tabTo(by("Choose a plan"));
  await page.keyboard.press("Enter");
  await page.getByRole("dialog", { name: "Choose your plan" }).waitFor();
  await tabTo(page.getByRole("radio", { name: /^General/ }));
  await page.keyboard.press("ArrowDown");
  expect(await page.getByRole("radio", { name: /^Event Organizer/ }).isChecked()).toBe(true);
  await tabTo(by("Continue to payment"));
  await page.keyboard.press("Enter");
  for (const [field, text] of [
    ["Card number", GOOD],
    ["Expiration date", "1234"],
    ["Security code", "123"],
  ] as const) {
    await page.getByLabel(field).waitFor();
    await tabTo(page.getByLabel(field));
    await page.keyboard.type(text);
  }
  await tabTo(by("Start free trial"));
  await page.keyboard.press("Enter");
  await see("You’re all set");
  await tabTo(by("Done"));
  await page.keyboard.press("Enter");
  await see(/days left in your free trial/);
  const heading = page.getByRole("heading", { name: "Subscription" });
  expect(await heading.evaluate((element) => element === document.activeElement)).toBe(true);
  await arrives("trialing", "event_organizer");
});

test("the keyboard stays inside the dialog, and returns to what opened it", async () => {
  await page.getByRole("button", { name: "Choose a plan" }).focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "Choose your plan" });
  await dialog.waitFor();
  for (let step = 0; step < 12; step += 1) {
    await page.keyboard.press("Tab");
    expect(await dialog.evaluate((box) => box.contains(document.activeElement))).toBe(true);
  }
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  const focused = page.locator(":focus");
  expect(await focused.textContent()).toBe("Choose a plan");
});

test("the page lets in what is ours and Stripe's, and nothing else", async () => {
  const answer = await context.request.get(SANDBOX);
  const { stripe } = await told<SandboxStatus>("/sandbox/status");
  const policy = Object.fromEntries(
    (answer.headers()["content-security-policy"] ?? "").split("; ").map((directive) => {
      const [name = "", ...sources] = directive.split(" ");
      return [name, sources];
    }),
  );
  expect(policy).toMatchObject({
    "default-src": ["'none'"],
    "script-src": ["'self'", stripe.url],
    "frame-src": [stripe.url],
    "connect-src": ["'self'", stripe.url],
    "style-src": ["'self'"],
  });
  const foreign = await page.evaluate(() =>
    fetch("https://example.org/").then(
      () => "let out",
      () => "held back",
    ),
  );
  expect(foreign).toBe("held back");
  expect(refused.splice(0).join()).toContain("example.org");
});
