import { readFileSync } from "node:fs";
import { join } from "node:path";

import type { StripeError } from "@stripe/stripe-js";
import { expect, test } from "vitest";

import { explain, explainStripe, isUndecided } from "../src/components/payments/parts/explain";
import { errorOf } from "../src/index";
import { problem } from "./fixtures";

const told = (status: number, name: string, more: object = {}) =>
  explain(errorOf(new Response(null, { status }), problem(status, name, more)));

test.each([
  [401, "unauthenticated", "sign-in", "Your session has ended"],
  [403, "insufficient-scope", undefined, "Your sign-in doesn’t allow this"],
  [404, "subscription-not-found", "reload", "has changed in the meantime"],
  [409, "already-subscribed", "reload", "already have a subscription"],
  [409, "preview-outdated", "preview", "worked out again"],
  [409, "card-needed", "update-card", "no card to pay with"],
  [409, "request-under-way", "retry", "still working on your last request"],
  [400, "provider-refused", "reload", "did not accept this"],
  [422, "idempotency-key-reused", "reload", "lost track"],
  [422, "redirect-not-allowed", undefined, "can’t be come back to"],
  [404, "no-customer", "reload", "no billing account yet"],
  [409, "change-under-way", "reload", "has changed in the meantime"],
  [409, "payment-processing", "retry", "still processing a payment"],
  [422, "price-not-offered", "reload", "no longer offered"],
  [422, "email-needed", undefined, "no email address"],
  [429, "too-many-requests", "retry", "too fast"],
  [500, "internal-error", "retry", "Something went wrong"],
  [503, "payment-provider-unavailable", "retry", "can’t be reached"],
  [503, "outcome-unknown", "reload", "don’t know yet whether that worked"],
  [503, "took-too-long", "reload", "don’t know yet whether that worked"],
  [503, "try-again", "retry", "short interruption"],
])("%i %s is put into words with what to do", (status, name, remedy, title) => {
  const words = told(status, name);
  expect(words.title).toContain(title);
  expect(words.advice).toMatch(/\.$/);
  expect(words.remedy).toBe(remedy);
});

// What only a broken page or somebody else meets: nothing more can be said of it to who pays.
const GENERAL = [
  "bad-request",
  "body-too-large",
  "body-too-slow",
  "cursor-unknown",
  "customer-already-linked",
  "internal-error",
  "invalid-period",
  "method-not-allowed",
  "not-found",
];
// What webhooks alone are answered.
const WEBHOOKS = /^(signature|timestamp|body-not|thin)-/;

test("every problem of the contract has words of its own, but for the general ones", () => {
  const contract = JSON.parse(
    readFileSync(join(import.meta.dirname, "../../contracts/openapi.json"), "utf8"),
  ) as {
    components: { schemas: { Problem: { properties: { type: Record<string, string[]> } } } };
  };
  const types = contract.components.schemas.Problem.properties.type["x-extensible-enum"] ?? [];
  const names = types.map((type) => type.replace("urn:payments:problem:", ""));
  const STATUSES: Record<string, number> = { unauthenticated: 401, "card-declined": 402 };
  const unexplained = names
    .filter((name) => !WEBHOOKS.test(name))
    .filter((name) => told(STATUSES[name] ?? 409, name).title === "Something went wrong");
  expect(names).toContain("card-needed");
  expect(unexplained.sort()).toEqual(GENERAL);
});

test("a problem nobody knows yet is admitted, with its trace where there is one", () => {
  expect(told(418, "teapot").title).toBe("Something went wrong");
  expect(told(500, "new", { traceId: "abc" }).advice).toContain("abc");
});

test("an answer of something else's, such as a gateway's, is an interruption", () => {
  const words = explain(errorOf(new Response(null, { status: 502 }), "<h1>Bad Gateway</h1>"));
  expect(words.title).toBe("We’re having a short interruption");
});

test.each([
  ["insufficient_funds", "isn’t enough money"],
  ["expired_card", "It has expired"],
  ["incorrect_cvc", "security code is not right"],
  ["do_not_honor", "The bank gave no reason"],
])("a card declined for %s says what to do now", (code, advice) => {
  const words = told(402, "card-declined", { code: "card_declined", declineCode: code });
  expect(words.advice).toContain(advice);
  expect(words.advice).toContain("You have not been charged.");
  expect(words.remedy).toBe("update-card");
});

const card = { card: { brand: "mastercard", last4: "4444" } };

test.each<[string, object]>([
  ["the error itself", { payment_method: card }],
  ["the intent", { setup_intent: { payment_method: card } }],
  ["the intent's last error", { payment_intent: { last_payment_error: { payment_method: card } } }],
])("the card is named by %s", (_name, more) => {
  const error = { type: "card_error", code: "card_declined", ...more } as StripeError;
  expect(explainStripe(error).title).toBe("Your Mastercard ending in 4444 was declined");
});

test("a card that nothing names is still a card", () => {
  expect(explainStripe({ type: "card_error" }).title).toBe("Your card was declined");
});

test.each([
  ["api_connection_error", undefined],
  ["api_error", undefined],
  ["invalid_request_error", "payment_intent_unexpected_state"],
  ["invalid_request_error", "setup_intent_unexpected_state"],
])("%s %s leaves open what became of it, and nothing is claimed", (type, code) => {
  const error = { type, code } as StripeError;
  expect(isUndecided(error)).toBe(true);
  expect(explainStripe(error).advice).not.toContain("You have not been charged");
});

test.each([
  ["card_error", "card_declined"],
  ["invalid_request_error", "payment_intent_authentication_failure"],
])("%s %s is a no", (type, code) => {
  const error = { type, code } as StripeError;
  expect(isUndecided(error)).toBe(false);
  expect(explainStripe(error).advice).toContain("You have not been charged");
});

test("a request that Stripe turns down is no decline", () => {
  const error: StripeError = { type: "invalid_request_error", code: "parameter_invalid_empty" };
  expect(isUndecided(error)).toBe(false);
  expect(explainStripe(error).advice).not.toContain("You have not been charged");
});

test.each(["lost_card", "stolen_card"])(
  "%s reads as a decline without a reason: who holds the card may not be its owner",
  (code) => {
    const of = (decline_code: string) =>
      explainStripe({ type: "card_error", code: "card_declined", decline_code });
    expect(of(code)).toEqual(of("generic_decline"));
  },
);
