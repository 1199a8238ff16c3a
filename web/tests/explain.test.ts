import type { StripeError } from "@stripe/stripe-js";
import { expect, test } from "vitest";

import { explain, explainStripe } from "../src/components/payments/parts/explain";
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
  [409, "change-pending", "reload", "still waiting for its payment"],
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

test("Stripe out of reach and a fault of Stripe's own charge nothing", () => {
  const away = explainStripe({ type: "api_connection_error" });
  expect(away.title).toBe("The payment provider can’t be reached");
  const fault = explainStripe({ type: "api_error" });
  expect(fault.advice).toContain("You have not been charged.");
});
